"""Connections that say nothing take nobody's place: those that were quiet longest go."""

from __future__ import annotations

import contextlib
from pathlib import Path

import anyio
import httpx
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from comfy_mcp.proxy.guard import Rules
from tests.proxy.guard.serving import guarded
from tests.workbenches import served

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def connected(url: str, stack: contextlib.AsyncExitStack, sent: bytes = b"") -> SocketStream:
    port = httpx.URL(url).port or 0
    stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
    if sent:
        await stream.send(sent)
    return stream


async def is_cut(stream: SocketStream) -> bool:
    with anyio.move_on_after(0.2):
        try:
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True
    return False


async def test_six_hundred_that_say_nothing_keep_nobody_out(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as client, contextlib.AsyncExitStack() as stack:
        for number in range(600):
            await connected(str(client.base_url), stack, b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")
        for _ in range(3):
            assert (await client.get("/healthz")).status_code == 200
        # Also one that opens a connection for each.
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as fresh:
            assert (await fresh.get("/healthz", headers={"Connection": "close"})).status_code == 200


async def test_of_too_many_the_one_goes_that_was_quiet_longest() -> None:
    async with guarded(Rules(), most=4) as url, contextlib.AsyncExitStack() as stack:
        spoke = await connected(url, stack)
        first, second = await connected(url, stack), await connected(url, stack, b"GET / HT")
        await spoke.send(HEALTH)
        assert (await spoke.receive()).startswith(b"HTTP/1.1 200 ")
        third = await connected(url, stack)
        assert await is_cut(first)
        await connected(url, stack)
        assert await is_cut(second)
        assert [await is_cut(each) for each in (spoke, third)] == [False, False]


async def test_who_is_being_answered_is_never_the_one_that_goes() -> None:
    release, working = anyio.Event(), 0

    async def slow(request: Request) -> Response:
        nonlocal working
        working += 1
        await release.wait()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", slow)])
    async with guarded(Rules(), app=app, most=4) as url, contextlib.AsyncExitStack() as stack:
        asked = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        busy = [await connected(url, stack, asked) for _ in range(3)]
        with anyio.fail_after(5):
            while working < 3:
                await anyio.sleep(0.01)
        for _ in range(5):
            await connected(url, stack)
        one_more = await connected(url, stack, asked)
        assert (await one_more.receive()).startswith(b"HTTP/1.1 503 ")
        release.set()
        for each in busy:
            assert (await each.receive()).startswith(b"HTTP/1.1 200 ")
