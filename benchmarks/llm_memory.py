"""100 answers that stream at once through the queue, again and again: what they hold in memory, and what stays.

    python -m benchmarks.llm_memory URL

Prints one JSON object, in MiB resident of this process, which does nothing else. URL is that of `llm_server` with a
model called steady.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.llm_server import scripted_server
from benchmarks.llm_speed import asking
from llm_bridge.chat import Text
from llm_bridge.endpoints import Endpoint
from llm_bridge.queue import Queue

__all__ = ["memory"]

STREAMS = 100
TOKENS = 1000
RATE = 50.0
WAVES = 3


def memory() -> list[Figure]:
    with scripted_server(steady=RATE) as url:
        command = [sys.executable, "-m", "benchmarks.llm_memory", url]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    begun, whole = told["begun"], told["whole"]
    first, last = told["after"][0], told["after"][-1]
    each = f"{STREAMS} streams"
    return [
        Figure(f"{each}: resident before", told["before"], "MiB", digits=1),
        Figure(f"{each}: resident when all have begun", begun, "MiB", digits=1),
        Figure(f"{each}: resident when all but end, {TOKENS} tokens each", whole, "MiB", digits=1),
        Figure(f"{each}: resident after the first {STREAMS}", first, "MiB", digits=1),
        Figure(f"{each}: resident after {WAVES * STREAMS}", last, "MiB", digits=1),
        Figure(f"{each}: one that has begun holds", 1024 * (begun - told["before"]) / STREAMS, "KiB", digits=1),
        Figure(f"{each}: a token of 5 letters holds", 2**20 * (whole - begun) / STREAMS / TOKENS, "B", digits=1),
        Figure(f"{each}: growth while they stream", 100 * (whole / begun - 1), "%", most=5, digits=1),
        Figure(f"{each}: growth from the first {STREAMS} to the last", 100 * (last / first - 1), "%", most=5, digits=1),
    ]


async def measured(url: str) -> dict[str, Any]:
    async with Queue.open([Endpoint("box", url, kind="openai", slots=STREAMS)]) as queue:
        # What is imported late and learned once is there before.
        await queue.ask(asking("steady", 2))
        before = resident()
        waves = [await _Wave(queue).run() for _ in range(WAVES)]
    return {"before": before, "begun": waves[0][0], "whole": waves[0][1], "after": [wave[2] for wave in waves]}


class _Wave:
    """As many streams as can be at once. Memory is read when the last one begins and when the first one ends."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._waiting = STREAMS
        self._begun = self._whole = 0.0

    async def run(self) -> tuple[float, float, float]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(STREAMS):
                tasks.create_task(self._read())
        return self._begun, self._whole, resident()

    async def _read(self) -> None:
        begun = False
        async with self._queue.stream(asking("steady", TOKENS)) as events:
            async for event in events:
                if isinstance(event, Text) and not begun:
                    begun = True
                    self._waiting -= 1
                    self._begun = self._begun if self._waiting else resident()
            self._whole = self._whole or resident()


def resident() -> float:
    """MiB of this process, without what nobody holds any more."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(sys.argv[1]))))
