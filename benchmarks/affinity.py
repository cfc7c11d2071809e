"""What batches by model save and what they cost: switches and waits against first come, first served.

300 jobs over 3 models in simulated time, on one server: as one burst in random order, and as Poisson arrivals at load
0.8, with changes of the model that cost 0, 0.5, 2 and 10 times a job.

    python -m benchmarks.affinity [--jobs 300] [--models 3] [--seconds 10] [--seeds 30] [--comfyui URL]

With ``--comfyui`` also 24 jobs over two checkpoints of a real ComfyUI in random order: seconds through the queue, and
in ComfyUI's own queue, as a ratio.

Prints one JSON object: for each case the mean and the highest ratio over the seeds, of the switches (target on the
burst: at most 0.10) and of the 99th percentile of the waits (target: at most 2.0).
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import anyio
import httpx

from benchmarks.queue import posted, sampled, workbench
from benchmarks.queue_simulation import affinity, burst, first_come, p99, poisson

ROUNDS = 3
SWITCH_COSTS = (0.0, 0.5, 2.0, 10.0)


def mean_and_max(ratios: list[float]) -> dict[str, float]:
    return {"mean": round(statistics.mean(ratios), 4), "max": round(max(ratios), 4)}


def simulated(count: int, models: int, seconds: float, seeds: int) -> dict[str, Any]:
    cases: dict[str, dict[str, dict[str, float]]] = {}
    for name, arrivals in (("burst", burst), ("poisson", poisson)):
        for cost in SWITCH_COSTS:
            switches: list[float] = []
            waits: list[float] = []
            for seed in range(seeds):
                jobs = arrivals(count, models, seconds, seed)
                ours, reference = affinity(jobs, cost * seconds), first_come(jobs, cost * seconds)
                switches.append(ours.switches / reference.switches)
                waits.append(p99(ours) / p99(reference))
            cases[f"{name}, switch {cost:g}"] = {
                "switches": mean_and_max(switches),
                "wait_p99": mean_and_max(waits),
            }
    return {"jobs": count, "job_seconds": seconds, "seeds": seeds, "ratios": cases}


async def real(comfyui: str, count: int) -> dict[str, Any]:
    """The same jobs through the queue, and handed to ComfyUI in the order they came, taking turns."""
    ours: list[float] = []
    theirs: list[float] = []
    switches: list[int] = []
    async with httpx.AsyncClient(base_url=comfyui, trust_env=False, timeout=60) as raw:
        info = (await raw.get("/object_info/CheckpointLoaderSimple")).json()
        offered = info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][:2]
        with tempfile.TemporaryDirectory() as folder:
            async with workbench(comfyui, Path(folder), concurrency=1) as (http, _):
                for number in range(ROUNDS):
                    order = _order(number, offered, count)
                    for name in offered:
                        # The first job of a model also reads its file from the disk; that is not what is compared.
                        await raw_seconds(raw, [name])
                    theirs.append(await raw_seconds(raw, order))
                    seconds, changed = await queued_seconds(http, order)
                    ours.append(seconds)
                    switches.append(changed)
    reference = [sum(a != b for a, b in itertools.pairwise(_order(number, offered, count))) for number in range(ROUNDS)]
    return {
        "jobs": count,
        "checkpoints": len(offered),
        "comfyui_seconds": round(statistics.median(theirs), 1),
        "queue_seconds": round(statistics.median(ours), 1),
        "ratio": round(statistics.median(mine / raw for mine, raw in zip(ours, theirs, strict=True)), 3),
        "switches": switches,
        "switches_first_come": reference,
    }


def _order(number: int, offered: list[str], count: int) -> list[str]:
    return random.Random(number).choices(offered, k=count)


async def raw_seconds(raw: httpx.AsyncClient, order: list[str]) -> float:
    """All at once into ComfyUI's own queue, which is first come, first served; until the last is in its history."""
    started = time.perf_counter()
    prompt_id = ""
    for checkpoint in order:
        prompt_id = str(uuid.uuid4())
        body = {"prompt": _values(checkpoint)[1], "prompt_id": prompt_id}
        (await raw.post("/prompt", json=body)).raise_for_status()
    while prompt_id not in (await raw.get(f"/history/{prompt_id}")).json():
        await anyio.sleep(0.05)
    return time.perf_counter() - started


async def queued_seconds(http: httpx.AsyncClient, order: list[str]) -> tuple[float, int]:
    """The same through the queue, and how often the model changed."""
    started = time.perf_counter()
    ids = [await posted(http, _values(checkpoint)[0]) for checkpoint in order]
    while (await http.get("/api/v1/queue", params={"limit": 1})).json()["jobs"]:
        await anyio.sleep(0.05)
    seconds = time.perf_counter() - started
    jobs = [(await http.get(f"/api/v1/jobs/{job}")).json() for job in ids]
    assert all(job["state"] == "succeeded" for job in jobs), jobs
    jobs.sort(key=lambda job: job["started"])
    return seconds, sum(a["model"] != b["model"] for a, b in itertools.pairwise(jobs))


def _values(checkpoint: str) -> tuple[dict[str, Any], dict[str, Any]]:
    body, graph = sampled(random.getrandbits(40))
    body["values"] |= {"checkpoint": checkpoint, "width": 256, "height": 256, "steps": 2}
    for node in graph.values():
        given = node["inputs"]
        given |= {name: body["values"][name] for name in ("width", "height", "steps") if name in given}
        if "ckpt_name" in given:
            given["ckpt_name"] = checkpoint
    return body, graph


def main() -> None:
    parser = argparse.ArgumentParser(description="What batches by model save, and what they cost.")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long one job takes")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--comfyui", help="address of a real ComfyUI with two checkpoints: 24 jobs there as well")
    told = parser.parse_args()
    found = {"simulated": simulated(told.jobs, told.models, told.seconds, told.seeds)}
    if told.comfyui:
        found["real"] = anyio.run(real, told.comfyui, 24)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
