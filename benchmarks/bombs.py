"""What pictures made to break their reader do to a workbench that is served: to its memory, and to its other callers.

Each is uploaded once while somebody else keeps asking for the list of jobs.

    python -m benchmarks.bombs

Prints one JSON object: of each picture the status of its answer and its seconds; the most memory in MB that the service
took beyond what it had, alone and with its decoders; and the p99 of the other caller in milliseconds, before and
meanwhile. Ends with 1 when a picture took 3 s or more, the service 256 MB, or the other caller twice as long.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import httpx

from tests.security.bombs import BOMBS

MOST_SECONDS, MOST_MEMORY, MOST_RATIO = 3.0, 256, 2.0
CALM_SECONDS = 5.0


@dataclass
class Watch:
    """Memory in MB and answering times in milliseconds, taken all the while."""

    process: int
    service: int = 0
    decoders: int = 0
    times: list[float] = field(default_factory=list[float])

    def look(self) -> None:
        service = _megabytes(self.process)
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        self.service = max(self.service, service)
        self.decoders = max(self.decoders, service + sum(map(_megabytes, map(int, children))))

    async def memory(self) -> None:
        while True:
            self.look()
            await anyio.sleep(0.01)

    async def caller(self, address: str) -> None:
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
            while True:
                started = time.perf_counter()
                (await client.get("/api/v1/jobs")).raise_for_status()
                self.times.append((time.perf_counter() - started) * 1000)
                await anyio.sleep(0.01)


def _megabytes(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096 // 2**20


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[int, str]]:
    """The process of a workbench, and its address."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"WORKBENCH_DATA": folder, "WORKBENCH_SETTINGS": f"{folder}/none", "WORKBENCH_RATE": "0"}
        command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
        async with await anyio.open_process(command, env=settings, stdout=PIPE, stderr=DEVNULL) as process:
            assert process.stdout is not None
            said = (await process.stdout.receive()).decode()
            yield process.pid, said.partition("chats: ")[2].partition("/mcp")[0]
            process.terminate()


async def main() -> int:
    pictures = {name: make() for name, make in BOMBS.items()}
    told: dict[str, object] = {}
    worst, calm, before = 0.0, 0.0, 0
    async with served() as (process, address), httpx.AsyncClient(base_url=address, timeout=60) as client:
        # The first picture brings the decoder, which stays.
        await client.post("/api/v1/assets", content=pictures["PNG cut in half"], headers={"Content-Type": "image/png"})
        watch = Watch(process)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.memory)
            tasks.start_soon(watch.caller, address)
            await anyio.sleep(CALM_SECONDS)
            calm, before = statistics.quantiles(watch.times, n=100)[98], watch.service
            watch.times.clear()
            for name, data in pictures.items():
                started = time.perf_counter()
                answer = await client.post("/api/v1/assets", content=data, headers={"Content-Type": "image/png"})
                seconds = time.perf_counter() - started
                worst = max(worst, seconds)
                told[name] = {"status": answer.status_code, "seconds": round(seconds, 2)}
            tasks.cancel_scope.cancel()
    meanwhile = statistics.quantiles(watch.times, n=100)[98]
    memory = {"service": watch.service - before, "with decoders": watch.decoders - before}
    figures = {"calm": round(calm, 1), "meanwhile": round(meanwhile, 1), "ratio": round(meanwhile / calm, 2)}
    print(json.dumps({"pictures": told, "memory": memory, "p99": figures}, indent=2))
    return int(worst >= MOST_SECONDS or memory["service"] > MOST_MEMORY or meanwhile > MOST_RATIO * calm)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
