"""What the bridge costs against raw HTTP, and what its queue saves: everything as a ratio or a difference in one run.

    python -m benchmarks.llm [--rounds 300]

Prints a table of figures with their targets, in about three minutes on two cores:

- the time to the first token that the client (at most 1 ms at p50) and the queue (3 ms) add to raw HTTP, which takes
  turns with them: against a scripted server, where raw HTTP keeps its connection, and a real llama-server;
- tokens per second of long answers, at least 0.98 of raw HTTP: at 100 tokens per second, which is what a person with a
  good card has, and as fast as a real llama-server with a tiny model can, which is thousands;
- a comparison of three models on three servers, at most 1.05 of the slowest of them alone;
- 60 cells over three models in random order, on one router of llama.cpp that holds one model and has one slot: three
  loads through the queue, against the same calls sent in their order;
- the memory of 100 streams at once.

The real servers come from the folder that WORKBENCH_TEST_LLAMA names; fill it with `python3 tests/llama/build.py DIR`.
Without it their figures are left out. What keeps the processor busy beside it makes all of them worse.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.llm_memory import memory
from benchmarks.llm_queue import compared, loads
from benchmarks.llm_server import scripted_server
from benchmarks.llm_speed import Ways, first_tokens, rates
from llm_bridge.endpoints import Endpoint
from tests.llama.servers import running_single

REAL = "WORKBENCH_TEST_LLAMA"


async def against_scripted(rounds: int) -> list[Figure]:
    with scripted_server(now=0, steady=100) as url:
        async with Ways.open(Endpoint("box", url, kind="openai")) as ways:
            return [
                *await first_tokens("scripted server", ways, "now", rounds),
                *await rates("scripted, 100 tok/s", ways, "steady", 300, 3),
            ]


async def against_real(folder: Path, rounds: int) -> list[Figure]:
    with running_single(folder, slots=1, context=4096) as server:
        async with Ways.open(Endpoint("box", server.url, kind="llama-cpp"), closes=True) as ways:
            return [
                *await first_tokens("llama-server", ways, "tiny-a", rounds),
                *await rates("llama-server, as fast as it can", ways, "tiny-a", 500, 40),
            ]


def show(figures: Sequence[Figure]) -> None:
    for figure in figures:
        print(figure, flush=True)


async def main(rounds: int) -> None:
    folder = os.environ.get(REAL)
    show(await against_scripted(rounds))
    if folder:
        show(await against_real(Path(folder), rounds))
    show(await compared())
    if folder:
        show(await loads(Path(folder)))
    show(memory())
    if not folder:
        print(f"Left out: what needs a real server. python3 tests/llama/build.py DIR, then {REAL}=DIR.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the bridge costs, and what its queue saves.")
    parser.add_argument("--rounds", type=int, default=300, help="how often a first token is timed")
    asyncio.run(main(parser.parse_args().rounds))
