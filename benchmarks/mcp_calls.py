"""What a chat waits for that is not the picture: the list of tools, cheap calls, a large picture on its way.

    python -m benchmarks.mcp_calls [--calls 200]

Prints a table of figures with their targets:

- tools/list beside 200 templates, 20 ms at p99; the first list, which looks at every template; and a list of all of
  them, which no chat is meant to have;
- 50 callers at once, of whom each is to get the picture of its own seed;
- a call with a picture of 4 MB, and the same with pictures left out: what fitting it into the answer costs;
- the longest time that the event loop stood still while a picture of 4096×4096 was fitted into 700 KB, 20 ms;
- list_jobs while pictures render, over HTTP and stdio, 50 ms at p99.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import numpy as np
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ImageContent, TextContent
from PIL import Image

from benchmarks.overhead import engine
from comfy_mcp import images

TEMPLATES = 200
CALLERS = 50
SHIPPED = Path(__file__).parent.parent / "workflows"
PAINT = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2}
COPY = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
}
MANIFEST = 'title = "Copy"\ndescription = "The same."\n[parameters.image]\ntype = "image"\nbind = "LoadImage#1.image"\n'


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; ``most`` is the target, where there is one."""

    what: str
    value: float
    unit: str = "ms"
    most: float | None = None

    def __str__(self) -> str:
        target = (
            "" if self.most is None else f"{self.most:g} {self.unit} {'ok' if self.value <= self.most else 'MISSED'}"
        )
        return f"{self.what:<58}{self.value:>9.1f} {self.unit:<4} {target}"


def environment(comfyui: str, data: Path, **more: str) -> dict[str, str]:
    return {
        "WORKBENCH_COMFYUI_URL": comfyui,
        "WORKBENCH_DATA": str(data),
        "WORKBENCH_RATE": "0",
        "PATH": "/usr/bin:/bin",
        **more,
    }


@asynccontextmanager
async def over_http(comfyui: str, **more: str) -> AsyncGenerator[str]:
    """The address of a workbench in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
        env = environment(comfyui, Path(folder), **more)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().split()[1]
            finally:
                process.terminate()


@asynccontextmanager
async def over_stdio(comfyui: str) -> AsyncGenerator[Client]:
    with tempfile.TemporaryDirectory() as folder:
        env = environment(comfyui, Path(folder))
        server = StdioServerParameters(command=sys.executable, args=["-m", "comfy_mcp", "stdio"], env=env)
        async with Client(server) as chat:
            yield chat


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def noise(side: int) -> bytes:
    """A PNG of three bytes a pixel that cannot be made smaller."""
    encoded = io.BytesIO()
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


async def timed(work: Callable[[], Awaitable[object]], times: int) -> list[float]:
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def percentiles(what: str, taken: Sequence[float], most: float | None = None) -> list[Figure]:
    p99 = statistics.quantiles(taken, n=100)[-1]
    return [Figure(f"{what}, p50", statistics.median(taken)), Figure(f"{what}, p99", p99, most=most)]


async def listing(comfyui: str, calls: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(TEMPLATES):
            copied = Path(folder) / f"paint_{number}"
            shutil.copytree(SHIPPED / "txt2img", copied)
        # Room for all of them, as somebody with as many would give.
        async with (
            over_http(comfyui, WORKBENCH_TEMPLATES=folder, WORKBENCH_TOOLS_BYTES="8192") as url,
            Client(url, cache=None) as chat,
        ):
            first = await timed(chat.list_tools, 1)
            await anyio.sleep(2)  # what ComfyUI offers has arrived by then
            few = await timed(chat.list_tools, calls)
        async with (
            over_http(comfyui, WORKBENCH_TEMPLATES=folder, WORKBENCH_TOOLS_BYTES="1000000") as url,
            Client(url, cache=None) as chat,
        ):
            tools = len((await chat.list_tools()).tools)
            await anyio.sleep(2)
            all_of_them = await timed(chat.list_tools, calls)
    return [
        Figure(f"tools/list beside {TEMPLATES} templates, the first time", first[0]),
        *percentiles(f"tools/list beside {TEMPLATES} templates", few, 20),
        *percentiles(f"tools/list of {tools} tools, tools_bytes = 1000000", all_of_them),
    ]


async def crowd(comfyui: str) -> list[Figure]:
    right = 0
    started = 0.0
    async with over_http(comfyui) as url:

        async def one(seed: int) -> None:
            nonlocal right
            async with Client(url) as chat:
                result = await chat.call_tool("txt2img", {**PAINT, "seed": seed})
                shown = [block for block in result.content if isinstance(block, ImageContent)]
                right += len(shown) == 1 and f"seed {seed}," in text_of(result)

        started = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for seed in range(1000, 1000 + CALLERS):
                tasks.start_soon(one, seed)
    return [
        Figure(f"{CALLERS} callers at once, pictures of the right seed", right, "of 50"),
        Figure(f"{CALLERS} callers at once, until all have theirs", (time.perf_counter() - started) * 1000),
    ]


async def large(comfyui: str, calls: int) -> list[Figure]:
    medians: dict[str, float] = {}
    for inline in ("auto", "never"):
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder) / "copy"
            copied.mkdir()
            (copied / "workflow.json").write_text(json.dumps(COPY))
            (copied / "manifest.toml").write_text(MANIFEST)
            more = {"WORKBENCH_TEMPLATES": folder, "WORKBENCH_INLINE_IMAGES": inline}
            async with over_http(comfyui, **more) as url, Client(url) as chat:
                medians[inline] = await _copying(url, chat, calls)
    return [
        Figure("a call with a picture of 4 MB, p50", medians["auto"]),
        Figure("the same call with pictures left out, p50", medians["never"]),
    ]


async def _copying(url: str, chat: Client, calls: int) -> float:
    upload = url.removesuffix("/mcp") + "/api/v1/assets"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(upload, content=noise(1180), headers={"content-type": "image/png"})
    picture: str = answer.raise_for_status().json()["id"]
    await chat.call_tool("copy", {"image": picture})
    return statistics.median(await timed(lambda: chat.call_tool("copy", {"image": picture}), calls))


async def standstill() -> list[Figure]:
    """In this process, with the code that the server runs."""
    data = noise(4096)
    late: list[float] = []
    taken = busy = idle = 0.0

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.001)
            late.append((time.perf_counter() - before - 0.001) * 1000)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await images.fit(noise(256), max_bytes=20_000)  # imports what is imported late
        idle = await _longest(late, lambda: anyio.sleep(2))
        started = time.perf_counter()
        busy = await _longest(late, lambda: images.fit(data, max_bytes=700_000))
        taken = (time.perf_counter() - started) * 1000
        tasks.cancel_scope.cancel()
    return [
        Figure("fitting 4096×4096 into 700 KB", taken),
        Figure("the event loop stood still meanwhile, at most", busy, most=20),
        Figure("the event loop stood still with nothing to do, at most", idle),
    ]


async def _longest(late: list[float], work: Callable[[], Awaitable[object]]) -> float:
    late.clear()
    await work()
    return max(late)


async def cheap(chat: Client, calls: int, how: str) -> list[Figure]:
    """While pictures of 1024×1024 render, one after the other, and are fitted into their answers."""
    taken: list[float] = []
    async with anyio.create_task_group() as tasks:

        async def paint() -> None:
            while True:
                await chat.call_tool("txt2img", {**PAINT, "width": 1024, "height": 1024, "seed": -1})

        await chat.call_tool("list_jobs", {})
        tasks.start_soon(paint)
        tasks.start_soon(paint)
        await anyio.sleep(1)
        taken = await timed(lambda: chat.call_tool("list_jobs", {}), calls)
        tasks.cancel_scope.cancel()
    return percentiles(f"list_jobs over {how} while pictures render", taken, 50)


async def main(calls: int) -> None:
    async with engine() as url:
        steps: list[Callable[[], Awaitable[list[Figure]]]] = [
            lambda: listing(url, calls),
            lambda: crowd(url),
            lambda: large(url, max(5, calls // 10)),
            standstill,
            lambda: _cheap_over_http(url, calls),
            lambda: _cheap_over_stdio(url, calls),
        ]
        for step in steps:
            for figure in await step():
                print(figure, flush=True)


async def _cheap_over_http(comfyui: str, calls: int) -> list[Figure]:
    async with over_http(comfyui) as url, Client(url) as chat:
        return await cheap(chat, calls, "HTTP")


async def _cheap_over_stdio(comfyui: str, calls: int) -> list[Figure]:
    async with over_stdio(comfyui) as chat:
        return await cheap(chat, calls, "stdio")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a chat waits for that is not the picture.")
    parser.add_argument("--calls", type=int, default=200)
    anyio.run(main, parser.parse_args().calls)
