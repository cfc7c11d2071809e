"""What the workbench's front doors cost: chats against raw HTTP to the LLM server, pictures against its own API.

    python -m benchmarks.gateway [--rounds 300]

Prints a table of figures with their targets, in about two minutes on two cores, and ends with 1 when one is missed:

- the time to the first token that `/v1/chat/completions` adds, at most 3 ms at p50: against a scripted server and a
  real llama-server;
- tokens per second of long answers, at least 0.98 of raw HTTP at 100 tokens per second, which is what a person with a
  good card has; and, without a target, of a tiny model that takes its thousands from the same cores;
- 100 chats at once, all of which end, with at least 0.98 of the tokens per second that raw HTTP has;
- a picture of a workflow without a model, by A1111's txt2img and by OpenAI's images: at most 10 ms at p50 above a job
  of `/api/v1` that is followed to its end, and its picture fetched.

The workbench, the scripted servers and the engine are processes of their own, as people have them. The real server
comes from the folder that WORKBENCH_TEST_LLAMA names; fill it with `python3 tests/llama/build.py DIR`. Without it its
figures are left out. What keeps the processor busy beside it makes all of them worse.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.gateway_pictures import pictures
from benchmarks.gateway_texts import LLM, Ways, crowd, first_tokens, gateway, rates
from benchmarks.llm_server import scripted_server
from tests.llama.servers import running_single

REAL = "WORKBENCH_TEST_LLAMA"
CROWD = 100


async def against_scripted(rounds: int) -> list[Figure]:
    with scripted_server(now=0, steady=100) as url, gateway(LLM("box", url)) as workbench:
        async with Ways.open(url, workbench) as ways:
            return [
                *await first_tokens("scripted server", ways, "now", rounds),
                *await rates("scripted, 100 tok/s", ways, "steady", 300, 3),
            ]


async def against_many() -> list[Figure]:
    with scripted_server(crowd=10) as server, gateway(LLM("box", server, CROWD)) as workbench:
        return await crowd(f"{CROWD} chats of 10 tok/s", server, workbench, CROWD, tokens=100)


async def against_real(folder: Path, rounds: int) -> list[Figure]:
    with running_single(folder, slots=1, context=4096) as server, gateway(LLM("box", server.url)) as workbench:
        async with Ways.open(server.url, workbench, closes=True) as ways:
            return [
                *await first_tokens("llama-server", ways, "tiny-a", rounds),
                *await rates("llama-server, as fast as it can", ways, "tiny-a", 500, 40, least=None),
            ]


async def main(rounds: int) -> bool:
    """Whether every target is reached."""
    missed = False

    def show(figures: Sequence[Figure]) -> None:
        nonlocal missed
        for figure in figures:
            print(figure, flush=True)
            missed = missed or figure.verdict == "MISSED"

    show(await against_scripted(rounds))
    show(await against_many())
    if folder := os.environ.get(REAL):
        show(await against_real(Path(folder), rounds))
    else:
        print(f"Left out: what needs a real server. python3 tests/llama/build.py DIR, then {REAL}=DIR.")
    show(await pictures(rounds))
    return not missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the workbench's front doors cost.")
    parser.add_argument("--rounds", type=int, default=300, help="how often a first token and a picture are timed")
    raise SystemExit(not asyncio.run(main(parser.parse_args().rounds)))
