"""Requests that trickle: each connection is cut in time, and nobody else waits for them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import pytest
import websockets
from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from comfy_mcp.proxy.guard import Rules
from tests.proxy.guard.serving import guarded
from tests.workbenches import served

SECONDS = 0.5
STARTS = {
    "nothing": b"",
    "a head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
    "a body": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n",
    "a body nobody reads": b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
    "a second head": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nX: ",
}


async def trickle(url: str, start: bytes) -> bytes:
    """What is answered until the connection is cut; a byte every 50 ms comes from us until then."""
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0) as stream, anyio.create_task_group() as t:

        async def send() -> None:
            with contextlib.suppress(anyio.BrokenResourceError):
                await stream.send(start)
                while start:
                    await anyio.sleep(0.05)
                    await stream.send(b"x")

        t.start_soon(send)
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                answer += await stream.receive()
        t.cancel_scope.cancel()
    return answer


@pytest.mark.parametrize("name", STARTS)
async def test_what_trickles_is_cut(name: str) -> None:
    async with guarded(Rules(receive_timeout=SECONDS)) as url:
        with anyio.fail_after(10):
            answer = await trickle(url, STARTS[name])
    read = name in ("a body", "chunks")
    assert answer.startswith(b"HTTP/1.1 408 ") is read
    assert (b"HTTP/1.1 200 " in answer) is (name in ("a body nobody reads", "a second head"))


async def test_two_hundred_that_trickle_are_cut_and_hold_nobody_up(http: httpx.AsyncClient) -> None:
    cut: list[bytes] = []

    async def slow(url: str, start: bytes) -> None:
        cut.append(await trickle(url, start))

    def start_all(tasks: TaskGroup, url: str) -> None:
        for number in range(100):
            tasks.start_soon(slow, url, STARTS["a head" if number % 2 else "nothing"])
            tasks.start_soon(slow, url, STARTS["a body" if number % 2 else "a body nobody reads"])

    async with guarded(Rules(receive_timeout=2.0)) as url:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                start_all(tasks, url)
                while len(cut) < 200:
                    assert (await http.get(url, timeout=5)).status_code == 200
                    await anyio.sleep(0.02)


async def test_the_workbench_listens_with_these_deadlines(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url, receive_timeout=SECONDS) as client:
        with anyio.fail_after(10):
            assert await trickle(str(client.base_url), STARTS["a head"]) == b""
            # It is no limit on what a connection waits for between two requests.
            assert (await client.get("/healthz")).status_code == 200
            await anyio.sleep(SECONDS * 2)
            assert (await client.get("/healthz")).status_code == 200


async def tell_slowly(request: Request) -> StreamingResponse:
    async def words() -> AsyncGenerator[bytes]:
        for _ in range(4):
            await anyio.sleep(SECONDS / 2)
            yield b"word "

    return StreamingResponse(words())


async def talk_slowly(session: WebSocket) -> None:
    await session.accept()
    await anyio.sleep(SECONDS * 3)
    await session.send_json(await session.receive_json())


async def test_long_answers_and_sockets_are_not_cut(http: httpx.AsyncClient) -> None:
    app = Starlette(routes=[Route("/", tell_slowly, methods=["POST"]), WebSocketRoute("/ws", talk_slowly)])
    async with guarded(Rules(receive_timeout=SECONDS), app=app) as url, anyio.create_task_group() as tasks:

        async def talk() -> None:
            async with websockets.connect(url.replace("http", "ws") + "/ws") as session:
                await session.send(json.dumps("hello"))
                assert json.loads(await session.recv()) == "hello"

        tasks.start_soon(talk)
        assert (await http.post(url, content=b"x" * 100_000)).text == "word " * 4
