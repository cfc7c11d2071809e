"""The same chat in two ways, taking turns: raw HTTP to the LLM server, and raw HTTP to a workbench in front of it.

Both are `httpx.AsyncClient.stream` with a client that stays open, line by line, each line read as JSON, and both send
the same body. A time to first token is from before the call to the first piece of text in the caller's hands; a rate is
of what comes after it. Raw takes part twice: by how much it differs from itself is how much of any other difference may
be the machine's.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure
from tests.texts import NOWHERE

__all__ = ["LLM", "Ways", "crowd", "first_tokens", "gateway", "rates", "serving"]

WARM_UP = 10
PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class LLM:
    """A server as the workbench is told of it."""

    name: str
    url: str
    concurrency: int = 1


@contextmanager
def gateway(server: LLM) -> Generator[str]:
    """The address of a workbench in a process of its own, in front of this server."""
    table = f'[[llm_servers]]\nname = "{server.name}"\nurl = "{server.url}"\nconcurrency = {server.concurrency}\n'
    with serving(table, NOWHERE) as url:
        yield url


@contextmanager
def serving(settings: str, comfyui: str) -> Generator[str]:
    """The address of a workbench with this settings file, and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        # A person asks far less often than this.
        file.write_text(f"rate = 1000000\n{settings}")
        env = {"WORKBENCH_COMFYUI_URL": comfyui, "WORKBENCH_DATA": folder, "WORKBENCH_SETTINGS": str(file)}
        command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
        env["PATH"] = "/usr/bin:/bin"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().split()[1].removesuffix("/mcp")
            finally:
                process.terminate()


@dataclass(slots=True)
class Taken:
    """Moments of one answer, in seconds of the clock, and its tokens as the server counted them."""

    began: float
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0


async def asked(http: httpx.AsyncClient, model: str, tokens: int) -> Taken:
    """One answer of at most so many tokens, the same each time."""
    taken = Taken(time.perf_counter())
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Tell me of the sea."}]}
    body |= {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": tokens, "seed": 1}
    line = "no answer"
    async with http.stream("POST", PATH, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                    taken.last = time.perf_counter()
                    taken.first = taken.first or taken.last
                if usage := chunk.get("usage"):
                    taken.tokens = usage["completion_tokens"]
                assert "error" not in chunk, chunk
    assert taken.tokens > 1 and line == "", line
    return taken


@dataclass(frozen=True, slots=True)
class Ways:
    """The two ways to one server."""

    raw: httpx.AsyncClient
    gateway: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, server: str, workbench: str, *, closes: bool = False) -> AsyncGenerator[Ways]:
        """``closes``: the server closes every connection after a stream without saying so, as llama-server does; then
        the raw way must not use one again, or requests are lost."""
        headers = {"Connection": "close"} if closes else {}
        async with (
            httpx.AsyncClient(base_url=server, trust_env=False, timeout=60, headers=headers) as raw,
            httpx.AsyncClient(base_url=workbench, trust_env=False, timeout=60) as gateway,
        ):
            yield cls(raw, gateway)

    async def each(self, model: str, tokens: int, times: int) -> Mapping[str, Sequence[Taken]]:
        """All ways, ``times`` times, each time in another order."""
        ways = {"raw": self.raw, "raw again": self.raw, "gateway": self.gateway}
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        draw = random.Random(1)
        for _ in range(times):
            for name in draw.sample([*ways], len(ways)):
                taken[name].append(await asked(ways[name], model, tokens))
        return taken


async def first_tokens(where: str, ways: Ways, model: str, times: int) -> list[Figure]:
    """Milliseconds to the first token of a short answer, and what the workbench adds."""
    await ways.each(model, 4, WARM_UP)
    taken = await ways.each(model, 4, times)
    found = {name: [1000 * (each.first - each.began) for each in all_of_it] for name, all_of_it in taken.items()}
    p50 = {name: statistics.median(times) for name, times in found.items()}
    p95 = {name: statistics.quantiles(times, n=20)[-1] for name, times in found.items()}
    return [
        Figure(f"{where}: first token, raw HTTP, p50", p50["raw"]),
        Figure(f"{where}: raw HTTP against itself, p50", p50["raw again"] - p50["raw"]),
        Figure(f"{where}: added by the workbench, p50", p50["gateway"] - p50["raw"], most=3),
        Figure(f"{where}: added by the workbench, p95", p95["gateway"] - p95["raw"]),
    ]


async def rates(
    where: str, ways: Ways, model: str, tokens: int, times: int, *, least: float | None = 0.98
) -> list[Figure]:
    """Tokens per second after the first: all tokens of a way over all its seconds, which noise moves least."""
    await ways.each(model, tokens, 1)
    taken = await ways.each(model, tokens, times)
    found = {
        name: sum(each.tokens - 1 for each in all_of_it) / sum(each.last - each.first for each in all_of_it)
        for name, all_of_it in taken.items()
    }
    return [
        Figure(f"{where}: raw HTTP", found["raw"], "tok/s", digits=0),
        Figure(f"{where}: raw HTTP against itself", found["raw again"] / found["raw"], "×", digits=3),
        Figure(f"{where}: through the workbench, of raw", found["gateway"] / found["raw"], "×", least=least, digits=3),
    ]


async def crowd(where: str, server: str, workbench: str, count: int, *, tokens: int) -> list[Figure]:
    """So many at once: how many end, their tokens per second together, and how late the last of them begins."""
    direct = await _together(server, count, tokens)
    through = await _together(workbench, count, tokens)
    return [
        Figure(f"{where}: ended, through the workbench", len(through), "", count, count, digits=0),
        Figure(f"{where}: raw HTTP", _rate(direct), "tok/s", digits=0),
        Figure(f"{where}: through the workbench, of raw", _rate(through) / _rate(direct), "×", least=0.98, digits=3),
        Figure(f"{where}: the slowest first token, added", 1000 * (_slowest(through) - _slowest(direct))),
    ]


async def _together(url: str, count: int, tokens: int) -> list[Taken]:
    """The answers of those that ended whole."""

    async def one() -> Taken:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            return await asked(http, "crowd", tokens)

    ended = await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)
    return [each for each in ended if isinstance(each, Taken) and each.tokens == tokens]


def _rate(taken: Sequence[Taken]) -> float:
    return sum((each.tokens - 1) / (each.last - each.first) for each in taken)


def _slowest(taken: Sequence[Taken]) -> float:
    return max(each.first - each.began for each in taken)
