"""What pictures made to break their reader do to a workbench that is served: to its memory, and to its other callers.

Each is uploaded once a round while somebody else keeps asking for the list of jobs.

    python -m benchmarks.bombs

Prints one JSON object: of each picture the status of its answer and its most seconds; the most memory in MB that the
service took beyond what it had, alone and with its decoders; and of each round the p99 of the other caller in
milliseconds, before and meanwhile, with the median of their ratios. Ends with 1 when a picture took 3 s or more, the
service and its decoders 256 MB, or the other caller more than twice as long.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import httpx
from anyio import to_thread

from tests.security.bombs import BOMBS

MOST_SECONDS, MOST_MEMORY, MOST_RATIO = 3.0, 256, 2.0
CALM_SECONDS, ROUNDS = 5.0, 5


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


@dataclass(frozen=True, slots=True)
class Round:
    """What was told of each picture, status and seconds; and the p99 of the other caller in milliseconds."""

    told: Mapping[str, tuple[int, float]]
    calm: float
    meanwhile: float


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


def upload(address: str, pictures: Mapping[str, bytes]) -> dict[str, tuple[int, float]]:
    """The status of each and its seconds. In a thread: what we send shall not keep the other caller's clock waiting."""
    told: dict[str, tuple[int, float]] = {}
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        for name, data in pictures.items():
            started = time.perf_counter()
            answer = client.post("/api/v1/assets", content=data, headers={"Content-Type": "image/png"})
            told[name] = answer.status_code, round(time.perf_counter() - started, 2)
    return told


async def one_round(watch: Watch, address: str, pictures: Mapping[str, bytes]) -> Round:
    watch.times.clear()
    await anyio.sleep(CALM_SECONDS)
    calm = statistics.quantiles(watch.times, n=100)[98]
    watch.times.clear()
    told = await to_thread.run_sync(upload, address, pictures)
    return Round(told, calm, statistics.quantiles(watch.times, n=100)[98])


async def main() -> int:
    pictures = {name: make() for name, make in BOMBS.items()}
    rounds: list[Round] = []
    async with served() as (process, address):
        # The first picture brings the decoder, which stays.
        await to_thread.run_sync(upload, address, {"first": pictures["PNG cut in half"]})
        watch = Watch(process)
        watch.look()
        before, watch.decoders = watch.service, 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.memory)
            tasks.start_soon(watch.caller, address)
            rounds += [await one_round(watch, address, pictures) for _ in range(ROUNDS)]
            tasks.cancel_scope.cancel()
    worst = {name: max((each.told[name] for each in rounds), key=itemgetter(1)) for name in pictures}
    memory = {"service": watch.service - before, "with decoders": watch.decoders - before}
    figures = [{"calm": round(each.calm, 1), "meanwhile": round(each.meanwhile, 1)} for each in rounds]
    ratio = round(statistics.median(each.meanwhile / each.calm for each in rounds), 2)
    print(json.dumps({"pictures": worst, "memory": memory, "p99": figures, "ratio": ratio}, indent=2))
    slowest = max(seconds for _, seconds in worst.values())
    return int(slowest >= MOST_SECONDS or max(memory.values()) > MOST_MEMORY or ratio > MOST_RATIO)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
