"""The same chat in three ways, taking turns: raw HTTP, the bridge's client, and its queue in front of that.

Raw is `httpx.AsyncClient.stream` with a client that stays open, line by line, each line read as JSON: what somebody
would write who needs no more than the text. All three send the same body. A time to first token is from before the
call to the first piece of text in the caller's hands; a rate is of what comes after it. Raw takes part twice: by how
much it differs from itself is how much of any other difference may be the machine's.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from benchmarks.figures import Figure
from llm_bridge.chat import ChatRequest, Event, Sampling, Text
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message
from llm_bridge.providers.interface import Call
from llm_bridge.queue import Queue

__all__ = ["Ways", "asking", "first_tokens", "rates"]

WARM_UP = 10
NAMES = ("raw", "client", "queue")


def asking(model: str, tokens: int, words: str = "Tell me of the sea.") -> ChatRequest:
    """An answer of exactly so many tokens, the same each time."""
    sampling = Sampling(seed=1, max_tokens=tokens)
    return ChatRequest(model, (Message.user(words),), sampling, extra={"ignore_eos": True})


@dataclass(slots=True)
class Taken:
    """Moments of one answer, in seconds of the clock, and what this process worked for it."""

    worked: float = field(default_factory=time.process_time)
    began: float = field(default_factory=time.perf_counter)
    first: float = 0.0
    last: float = 0.0

    def heard(self) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last

    def over(self) -> Taken:
        self.worked = time.process_time() - self.worked
        return self


@dataclass(frozen=True, slots=True)
class Ways:
    """The three ways to one server."""

    http: httpx.AsyncClient
    client: Client
    queue: Queue

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoint: Endpoint, *, closes: bool = False) -> AsyncGenerator[Ways]:
        """``closes``: the server closes every connection after a stream without saying so, as llama-server does; then
        the raw way must not use one again, or requests are lost."""
        headers = {"Connection": "close"} if closes else {}
        async with (
            httpx.AsyncClient(base_url=endpoint.url, trust_env=False, timeout=60, headers=headers) as http,
            Client.open(endpoint) as client,
            Queue.open([endpoint]) as queue,
        ):
            yield cls(http, client, queue)

    async def each(self, request: ChatRequest, times: int) -> Mapping[str, Sequence[Taken]]:
        """All ways, ``times`` times, each time in another order."""
        call = (await self.client.dialect()).call(request)
        ways = {
            "raw": lambda: self._raw(call),
            "raw again": lambda: self._raw(call),
            "client": lambda: self._client(request),
            "queue": lambda: self._queue(request),
        }
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        draw = random.Random(1)
        for _ in range(times):
            for name in draw.sample([*ways], len(ways)):
                taken[name].append(await ways[name]())
        return taken

    async def _raw(self, call: Call) -> Taken:
        taken = Taken()
        async with self.http.stream("POST", call.path, json=dict(call.body)) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        taken.heard()
        return taken.over()

    async def _client(self, request: ChatRequest) -> Taken:
        taken = Taken()
        async with self.client.stream(request) as events:
            return await _hear(events, taken)

    async def _queue(self, request: ChatRequest) -> Taken:
        taken = Taken()
        async with self.queue.stream(request) as events:
            return await _hear(events, taken)


async def _hear(events: AsyncIterator[Event], taken: Taken) -> Taken:
    async for event in events:
        if isinstance(event, Text):
            taken.heard()
    return taken.over()


async def first_tokens(where: str, ways: Ways, model: str, times: int) -> list[Figure]:
    """Milliseconds to the first token of a short answer, and what the client and the queue add."""
    request = asking(model, 4)
    await ways.each(request, WARM_UP)
    taken = await ways.each(request, times)
    found = {name: [1000 * (each.first - each.began) for each in all_of_it] for name, all_of_it in taken.items()}
    p50 = {name: statistics.median(times) for name, times in found.items()}
    p95 = {name: statistics.quantiles(times, n=20)[-1] for name, times in found.items()}
    return [
        Figure(f"{where}: first token, raw HTTP, p50", p50["raw"]),
        Figure(f"{where}: first token, raw HTTP, p95", p95["raw"]),
        Figure(f"{where}: raw HTTP against itself, p50", p50["raw again"] - p50["raw"]),
        Figure(f"{where}: added by the client, p50", p50["client"] - p50["raw"], most=1),
        Figure(f"{where}: added by the client, p95", p95["client"] - p95["raw"]),
        Figure(f"{where}: added by the queue, p50", p50["queue"] - p50["raw"], most=3),
        Figure(f"{where}: added by the queue, p95", p95["queue"] - p95["raw"]),
    ]


async def rates(where: str, ways: Ways, model: str, tokens: int, times: int) -> list[Figure]:
    """Tokens per second after the first: all tokens of a way over all its seconds, which noise moves least."""
    request = asking(model, tokens)
    await ways.each(request, 1)
    taken = await ways.each(request, times)
    found = {
        name: times * (tokens - 1) / sum(each.last - each.first for each in all_of_it)
        for name, all_of_it in taken.items()
    }
    ratios = {name: rate / found["raw"] for name, rate in found.items()}
    work = {
        name: 1e6 * statistics.median(each.worked for each in all_of_it) / tokens for name, all_of_it in taken.items()
    }
    return [
        Figure(f"{where}: raw HTTP", found["raw"], "tok/s", digits=0),
        Figure(f"{where}: raw HTTP against itself", ratios["raw again"], "×", digits=3),
        Figure(f"{where}: through the client, of raw", ratios["client"], "×", least=0.98, digits=3),
        Figure(f"{where}: through the queue, of raw", ratios["queue"], "×", least=0.98, digits=3),
        *(Figure(f"{where}: processor time a token, {name}", work[name], "µs", digits=0) for name in NAMES),
    ]
