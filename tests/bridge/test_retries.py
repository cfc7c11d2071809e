"""What is asked again, how often and when: only before the first token, and only what may pass."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llm_bridge.chat import Loading
from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import (
    BadAnswer,
    BridgeError,
    ContextExceeded,
    KeyRefused,
    RequestRefused,
    ServerBusy,
    ServerError,
    ServerLost,
    ServerUnavailable,
    TimedOut,
    UnknownModel,
)
from tests.bridge.chatting import ASK, CHAT, GOOD, answering, events_of
from tests.bridge.servers import Answer, End, chunk, json_answer, scripted, sse, stream

BUSY = json_answer({"error": "server busy, please try again"}, 503)


@pytest.mark.parametrize(
    "broken",
    [
        Answer(early=(End.RESET,)),
        Answer(early=(End.CLOSE,)),
        stream(End.RESET),
        stream(End.CLOSE),
        stream(End.CLOSE, chunked=False),
        stream(sse(chunk(role="assistant"), done=False), End.RESET),
        stream(sse(chunk(role="assistant"), done=False), End.CLOSE),
        stream(sse(chunk(role="assistant"), done=False)),
        BUSY,
        json_answer({"error": "slow down"}, 429),
        Answer(status=502),
    ],
)
async def test_what_breaks_before_the_first_token_is_asked_again(broken: Answer) -> None:
    async with answering(broken, broken, GOOD) as (server, client):
        assert (await client.ask(ASK)).text == "Hi"
        assert len(server.received) == 3


@pytest.mark.parametrize(
    ("broken", "expected"),
    [(Answer(early=(End.RESET,)), ServerLost), (stream(End.CLOSE), ServerLost), (BUSY, ServerBusy)],
)
async def test_it_is_not_asked_for_ever(broken: Answer, expected: type[BridgeError]) -> None:
    async with answering(broken) as (server, client):
        with pytest.raises(expected):
            await client.ask(ASK)
        assert len(server.received) == 3


@pytest.mark.parametrize("end", [End.RESET, End.CLOSE])
@pytest.mark.parametrize("token", ["H", "\n", "<thi"])
async def test_nothing_is_asked_again_once_a_token_came(token: str, end: End) -> None:
    async with answering(stream(sse(chunk(token), done=False), 0.05, end), GOOD) as (server, client):
        with pytest.raises(ServerLost):
            await client.ask(ASK)
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_answer({"error": {"message": "bad"}}, 400), RequestRefused),
        (json_answer({"error": {"message": "maximum context length is 5"}}, 400), ContextExceeded),
        (json_answer({"error": "model 'm' not found"}, 404), UnknownModel),
        (json_answer({"error": "no"}, 401), KeyRefused),
        (json_answer({"error": "broken"}, 500), ServerError),
        (stream(sse({"error": "broken"})), ServerError),
        (stream(b"data: {\n\n"), BadAnswer),
        (Answer(status=302, headers={"Location": "/elsewhere"}), RequestRefused),
        (json_answer({"error": "Rate limit"}, 429, Retry_After="31"), ServerBusy),
    ],
)
async def test_what_would_fail_again_is_asked_once(answer: Answer, expected: type[BridgeError]) -> None:
    async with answering(answer, GOOD) as (server, client):
        with pytest.raises(expected) as failure:
            await client.ask(ASK)
        assert type(failure.value) is expected
        assert len(server.received) == 1


async def test_a_server_says_in_seconds_when_it_may_be_asked_again() -> None:
    async with answering(json_answer({"error": "busy"}, 429, Retry_After="0.3"), GOOD) as (_, client):
        began = time.perf_counter()
        await client.ask(ASK)
    assert 0.3 <= time.perf_counter() - began < 1


async def test_a_server_says_by_a_date_when_it_may_be_asked_again() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    async with answering(json_answer({"error": "busy"}, 503, Retry_After=when), GOOD) as (_, client):
        began = time.perf_counter()
        await client.ask(ASK)
    # Dates have whole seconds.
    assert 0.9 <= time.perf_counter() - began < 2.5


def test_pauses_grow_and_what_a_server_asks_goes_before_them() -> None:
    retry = Retry(attempts=4, pause=1.0, most=10.0)
    busy = ServerBusy("busy")
    assert [retry.pause_after(attempt, busy) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, None]
    assert retry.pause_after(1, ServerBusy("busy", retry_after=0.0)) == 0.0
    assert retry.pause_after(1, ServerBusy("busy", retry_after=10.0)) == 10.0
    assert retry.pause_after(1, ServerBusy("busy", retry_after=10.1)) is None
    assert retry.pause_after(1, RequestRefused("no")) is None
    assert retry.pause_after(1, TimedOut("slow")) is None


async def test_loading_counts_for_nothing_but_the_time_to_load() -> None:
    loading = json_answer({"error": {"message": "Loading model"}}, 503, Retry_After="0.01")
    async with answering(*[loading] * 9, BUSY, GOOD, retry=Retry(attempts=2, pause=0.01)) as (server, client):
        events = await events_of(client)
        assert events.count(Loading("m")) == 1
        assert len(server.received) == 11


@contextmanager
def _closed_port() -> Generator[int]:
    """A port where nobody listens, kept from others."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_a_server_that_is_not_there_is_looked_for_a_few_times() -> None:
    with _closed_port() as port:
        endpoint = Endpoint("box", f"http://127.0.0.1:{port}", kind="openai")
        async with Client.open(endpoint, retry=Retry(pause=0.05)) as client:
            began = time.perf_counter()
            with pytest.raises(ServerUnavailable) as failure:
                await client.ask(ASK)
    assert 0.15 <= time.perf_counter() - began < 1
    assert "Start it" in failure.value.hint


async def test_a_server_is_recognised_anew_when_it_was_away() -> None:
    models = json_answer({"data": [{"id": "m"}]})
    async with scripted(CHAT, Answer(status=502), GOOD) as server:
        server.on("GET /v1/models", models)
        async with Client.open(Endpoint("box", server.url), retry=Retry(pause=0.01)) as client:
            first = await client.dialect()
            assert (await client.ask(ASK)).text == "Hi"
            assert await client.dialect() is not first


async def test_many_who_ask_at_once_find_out_once_what_a_server_is() -> None:
    async with scripted(CHAT, GOOD) as server:
        server.on("GET /v1/models", json_answer({"data": [{"id": "m"}]}))
        async with Client.open(Endpoint("box", server.url)) as client:
            await client.dialect()
            alone = len(server.received)
        server.received.clear()
        async with Client.open(Endpoint("box", server.url)) as client:
            await asyncio.gather(*(client.dialect() for _ in range(20)))
        assert len(server.received) == alone
