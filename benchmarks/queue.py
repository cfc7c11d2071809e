"""What the durable queue costs, and whether it stays quick when it is long.

    python -m benchmarks.queue [--jobs 400] [--stored 100000]

Prints one JSON object:

- ``throughput``: jobs per second through the queue with 4 in flight, and of the same engine by hand with 4 in flight,
  taking turns; the ratio is to be at least 0.9. Two kinds of job: one that takes a step of 50 ms, and one that takes
  nothing, where only the overhead is left.
- ``enqueue``: acknowledged jobs per second over HTTP, 8 clients at once (target: 300).
- ``stored``: milliseconds at p99 of a lease (target: 5) and of a page of the list (target: 20) beside 100 000 jobs.
- ``watching``: resident memory of the workbench before and after 1000 queued jobs with 200 watching clients, and its
  growth in percent (target: under 5).
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx

from benchmarks.overhead import GRAPH, MANIFEST, ByHand, engine
from comfy_mcp.jobs import BoundWorkflow
from comfy_mcp.store import NewJob, Queue, QueueLimits, SqliteStore, Start

IN_FLIGHT = 4
CLIENTS = 8
WATCHERS = 200


@asynccontextmanager
async def workbench(
    comfyui: str, data: Path, *, concurrency: int = IN_FLIGHT
) -> AsyncGenerator[tuple[httpx.AsyncClient, int]]:
    """A client of a workbench in a process of its own, and the process id."""
    folder = data / "templates" / "plain_colour"
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text(json.dumps(GRAPH))
    (folder / "manifest.toml").write_text(MANIFEST)
    env = {
        "WORKBENCH_RATE": "0",
        "PATH": "/usr/bin:/bin",
        "WORKBENCH_COMFYUI_URL": comfyui,
        "WORKBENCH_DATA": str(data),
        "WORKBENCH_MAX_QUEUE": "1000000",
        "WORKBENCH_MAX_QUEUE_PER_OWNER": "1000000",
        "WORKBENCH_CONCURRENCY": str(concurrency),
    }
    command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[1].removesuffix("/mcp")
            limits = httpx.Limits(max_connections=WATCHERS + 50)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=120, limits=limits) as http:
                yield http, process.pid
        finally:
            process.terminate()


def colours() -> Callable[[], int]:
    """A new colour each time, so that nothing is cached."""
    drawn = iter(random.Random(1).sample(range(1, 2**24), 200_000))
    return lambda: next(drawn)


async def posted(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    job: str = (await http.post("/api/v1/jobs", json=body)).raise_for_status().json()["id"]
    return job


async def queued_and_waited(http: httpx.AsyncClient, bodies: list[dict[str, Any]]) -> float:
    """Jobs per second, all in the queue first; timed from the first start to the last end."""
    jobs = [await posted(http, body) for body in bodies]
    await http.post("/api/v1/backends/comfyui/resume")
    while (await http.get("/api/v1/queue", params={"limit": 1})).json()["jobs"]:
        await anyio.sleep(0.02)
    first, last = [(await http.get(f"/api/v1/jobs/{job}")).json() for job in (jobs[0], jobs[-1])]
    assert last["state"] == "succeeded", last
    await http.post("/api/v1/backends/comfyui/pause")
    started, ended = (_moment(first["started"]), max(_moment(last["finished"]), _moment(first["finished"])))
    return len(jobs) / (ended - started)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def by_hand(url: str, graphs: list[dict[str, Any]]) -> float:
    """Jobs per second of the engine itself, with as many in flight, each from POST to the bytes of its picture."""
    waiting = iter(graphs)

    async def work() -> None:
        async with ByHand.open(url) as raw:
            for graph in waiting:
                await raw.run(graph)

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(work)
    return len(graphs) / (time.perf_counter() - started)


def plain(colour: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same small job for the workbench and for the engine."""
    graph = json.loads(json.dumps(GRAPH))
    graph["1"]["inputs"]["color"] = colour
    return {"template": "plain_colour", "values": {"color": colour}}, graph


def sampled(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One step of 50 ms."""
    shipped = Path(__file__).parent.parent / "workflows" / "txt2img" / "workflow.json"
    graph = json.loads(shipped.read_text())
    values = {"prompt": "a red house", "seed": seed, "steps": 1, "width": 64, "height": 64}
    for node in graph.values():
        given = node["inputs"]
        for name, value in {"seed": seed, "steps": 1, "width": 64, "height": 64}.items():
            if name in given and not isinstance(given[name], list):
                given[name] = value
        if node["class_type"] == "SaveImage":
            node["class_type"], node["inputs"] = "PreviewImage", {"images": given["images"]}
        if "ckpt_name" in given:
            given["ckpt_name"] = "procedural-sd15.safetensors"
    return {"template": "txt2img", "values": values}, graph


async def throughput(jobs: int, rounds: int, kind: Callable[[int], Any], *options: str) -> dict[str, Any]:
    new = colours()
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with engine(*options) as url, workbench(url, Path(folder)) as (http, _):
            await http.post("/api/v1/backends/comfyui/pause")
            for _ in range(rounds):
                pairs = [kind(new()) for _ in range(jobs)]
                ours.append(await queued_and_waited(http, [body for body, _ in pairs]))
                theirs.append(await by_hand(url, [kind(new())[1] for _ in range(jobs)]))
    ratio = statistics.median(mine / raw for mine, raw in zip(ours, theirs, strict=True))
    per_second = {"queue": round(statistics.median(ours), 1), "engine": round(statistics.median(theirs), 1)}
    return {**per_second, "ratio": round(ratio, 3)}


async def enqueue(jobs: int) -> dict[str, Any]:
    new = colours()
    with tempfile.TemporaryDirectory() as folder:
        async with engine() as url, workbench(url, Path(folder)) as (http, _):
            await posted(http, plain(new())[0])
            await http.post("/api/v1/backends/comfyui/pause")
            waiting = iter([plain(new())[0] for _ in range(jobs)])

            async def ask() -> None:
                for body in waiting:
                    await posted(http, body)

            started = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(CLIENTS):
                    tasks.start_soon(ask)
            return {"per_second": round(jobs / (time.perf_counter() - started))}


async def stored(jobs: int) -> dict[str, Any]:
    """Filled through the store itself, many at a time, since only what comes after is timed."""
    rng = random.Random(1)
    bound = BoundWorkflow(GRAPH, {"prompt": "a red house", "color": 1})
    new = NewJob("ann", "plain_colour", None, bound)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite3"
        async with SqliteStore.open(path, limits=QueueLimits(10**7, 10**7)) as store:
            for model in ("anime", "photo", "flux"):
                await store.enqueue(replace(new, model=model))
            _copy(path, jobs)

            def choose(queue: Queue) -> Start:
                return Start(rng.choice(list(queue.lanes)).id, "comfyui", "gpu0")

            lease = await _timed(lambda: store.lease("attempt", choose), 500)
            listed = await _timed(lambda: store.list("ann", limit=50), 200)
            line = await _timed(lambda: store.line(200), 200)
    return {"jobs": jobs, "lease_p99_ms": lease, "list_p99_ms": listed, "forecast_read_p99_ms": line}


def _copy(path: Path, jobs: int) -> None:
    connection = sqlite3.connect(path)
    columns = "owner, template, style, bound, state, created, warnings, lane, since"
    connection.execute(
        f"INSERT INTO job (id, {columns}) WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number"
        f" WHERE n < ?) SELECT 'copy-' || n, {columns} FROM number JOIN job ON seq = 1 + abs(random()) % 3",
        (jobs,),
    )
    connection.commit()
    connection.close()


async def _timed(work: Callable[[], Awaitable[object]], times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - started) * 1000)
    return round(statistics.quantiles(taken, n=100)[-1], 2)


async def watching(jobs: int) -> dict[str, Any]:
    """Memory is read when the workbench did a tenth of the jobs, and when it did all."""
    new = colours()
    before = after = 0.0
    with tempfile.TemporaryDirectory() as folder:
        async with engine() as url, workbench(url, Path(folder)) as (http, pid):
            await posted(http, plain(new())[0])
            await http.post("/api/v1/backends/comfyui/pause")
            ids = [await posted(http, plain(new())[0]) for _ in range(jobs)]
            async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
                for job in ids[-WATCHERS:]:
                    stream = await stack.enter_async_context(http.stream("GET", f"/api/v1/jobs/{job}/events"))
                    tasks.start_soon(_read, stream)
                await anyio.sleep(3)
                await http.post("/api/v1/backends/comfyui/resume")
                await _until_left(http, int(jobs * 0.9))
                before = _resident(pid)
                await _until_left(http, 0)
                after = _resident(pid)
    return {
        "jobs": jobs,
        "before_mib": before,
        "after_mib": after,
        "growth_percent": round(100 * (after / before - 1), 1),
    }


async def _read(stream: httpx.Response) -> None:
    async for _ in stream.aiter_bytes():
        pass


async def _until_left(http: httpx.AsyncClient, left: int) -> None:
    while len((await http.get("/api/v1/queue", params={"limit": 1000})).json()["jobs"]) > left:
        await anyio.sleep(0.5)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


async def main(jobs: int, most: int) -> None:
    told = {
        "throughput": {
            "one step of 50 ms": await throughput(jobs // 4, 3, sampled, "--step-delay", "0.05"),
            "nothing to do": await throughput(jobs, 3, plain),
        },
        "enqueue": await enqueue(1000),
        "stored": await stored(most),
        "watching": await watching(1000),
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the durable queue costs.")
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--stored", type=int, default=100_000)
    arguments = parser.parse_args()
    anyio.run(main, arguments.jobs, arguments.stored)
