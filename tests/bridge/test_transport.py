"""Plain questions over HTTP: JSON answers of any kind, bounded, and failures in our words."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llm_bridge import transport
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, BadInput, BridgeError, NotSupported, RequestRefused, ServerLost
from llm_bridge.transport import Timeouts, Transport, too_slow
from tests.bridge.servers import Answer, End, Rule, Script, json_answer, scripted, stream


@asynccontextmanager
async def serving(*rules: Rule) -> AsyncGenerator[tuple[Script, Transport]]:
    async with scripted("GET /x", *rules) as server, Transport.open(Endpoint("box", server.url)) as sending:
        yield server, sending


@pytest.mark.parametrize("value", [{"a": [1]}, [], None, "ü", 5])
async def test_json_comes_as_it_is(value: Any) -> None:
    async with serving(json_answer(value)) as (_, sending):
        assert await sending.get("/x") == value


async def test_an_empty_answer_is_none() -> None:
    async with serving(Answer(), Answer((b" \n",), 204)) as (_, sending):
        assert await sending.get("/x") is None
        assert await sending.get("/x") is None


async def test_what_is_sent_is_json_and_asks_for_no_compression() -> None:
    async with serving() as (server, sending):
        server.on("POST /x", json_answer({}))
        await sending.post("/x", {"text": "ü", "n": 1})
        (received,) = server.received
    assert received.json == {"text": "ü", "n": 1}
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert "authorization" not in received.headers


async def test_an_address_with_a_path_keeps_it() -> None:
    async with (
        scripted("GET /llm/v1/models", json_answer([])) as server,
        Transport.open(Endpoint("box", f"{server.url}/llm/v1")) as sending,
    ):
        assert await sending.get("/v1/models") == []


@pytest.mark.parametrize("body", [b"{", b"<html>", b"\xff", b"[" * 200_000])
async def test_what_is_no_json_is_a_bad_answer(body: bytes) -> None:
    async with serving(Answer((body,))) as (_, sending):
        with pytest.raises(BadAnswer):
            await sending.get("/x")


@pytest.mark.parametrize("end", [End.RESET, End.CLOSE])
async def test_an_answer_that_breaks_off_is_lost(end: End) -> None:
    async with serving(stream(b'{"a":', 0.02, end)) as (_, sending):
        with pytest.raises(ServerLost):
            await sending.get("/x")


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_a_compressed_answer_is_refused_and_never_unpacked(status: int, encoding: str) -> None:
    packed = gzip.compress(b'{"a": 1}')
    async with serving(Answer((packed,), status, {"Content-Encoding": encoding})) as (_, sending):
        with pytest.raises(BadAnswer, match="compresses") as failure:
            await sending.get("/x")
    assert "Switch compression off" in failure.value.hint


async def test_an_answer_that_says_it_is_plain_is_read() -> None:
    async with serving(json_answer({"a": 1}, Content_Encoding="Identity")) as (_, sending):
        assert await sending.get("/x") == {"a": 1}


async def test_what_is_not_http_is_a_lost_server() -> None:
    async with serving(Answer(early=(b"SSH-2.0-OpenSSH_9.2\r\n", End.CLOSE))) as (_, sending):
        with pytest.raises(ServerLost):
            await sending.get("/x")


@pytest.mark.parametrize(("status", "expected"), [(200, BadAnswer), (500, BridgeError)])
async def test_an_endless_answer_is_given_up(
    status: int, expected: type[BridgeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    endless = Answer((b"x" * 10_000,) * 1000, status)
    async with serving(endless) as (server, sending):
        with pytest.raises(expected):
            await sending.text("GET", "/x")
        await server.aborted.wait()


async def test_servers_that_close_after_an_answer_without_saying_so_lose_no_question() -> None:
    async with serving(Answer((b"1",), closes=True)) as (server, sending):
        for _ in range(100):
            assert await sending.get("/x") == 1
    assert len(server.received) == 100


async def test_a_redirect_is_not_followed() -> None:
    async with serving(Answer((), 307, {"Location": "/y"})) as (server, sending):
        with pytest.raises(RequestRefused, match="moved") as failure:
            await sending.get("/x")
        assert [each.path for each in server.received] == ["/x"]
    assert "address" in failure.value.hint


async def test_a_body_that_json_cannot_hold_is_refused_before_it_is_sent() -> None:
    async with serving() as (server, sending):
        with pytest.raises(BadInput):
            await sending.post("/x", {"x": object()})
        assert server.received == []


async def test_a_path_that_is_none_is_refused() -> None:
    async with serving() as (_, sending):
        with pytest.raises(BadInput):
            await sending.get("/\x00")


async def test_our_own_errors_pass_through() -> None:
    async with serving(json_answer({})) as (_, sending):
        with pytest.raises(NotSupported):
            async with sending.stream("GET", "/x"):
                raise NotSupported("no")


@pytest.mark.parametrize("stage", ["load", "first_token", "idle"])
def test_what_took_too_long_names_its_time_and_what_to_do(stage: str) -> None:
    failure = too_slow("box", stage, Timeouts(load=1, first_token=1, idle=1))
    assert failure.details == {"stage": stage}
    assert "1 seconds" in failure.message
    assert stage in failure.hint
