"""The head of an answer: with its first piece where that comes at once, and never late."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from comfy_mcp.proxy.guard import Rules
from tests.proxy.guard.serving import guarded

ASKED = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def whole(request: Request) -> Response:
    return Response(b"HTTP/1.1 is what this begins with")


async def nothing(request: Request) -> Response:
    return Response(status_code=204)


async def pieces(request: Request) -> StreamingResponse:
    async def words() -> AsyncGenerator[bytes]:
        yield b"word"

    return StreamingResponse(words())


async def later(request: Request) -> StreamingResponse:
    async def words() -> AsyncGenerator[bytes]:
        await request.app.state.more.wait()
        yield b"word"

    return StreamingResponse(words())


async def test_a_head_goes_with_what_follows_it_at_once_and_waits_for_nothing_else() -> None:
    app = Starlette(routes=[Route(f"/{each.__name__}", each) for each in (whole, nothing, pieces, later)])
    app.state.more = anyio.Event()
    async with (
        guarded(Rules(), app=app) as url,
        await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0) as stream,
    ):

        async def packet(path: bytes = b"") -> bytes:
            if path:
                await stream.send(ASKED % path)
            with anyio.fail_after(5):
                return await stream.receive()

        assert (await packet(b"/whole")).endswith(b"\r\n\r\nHTTP/1.1 is what this begins with")
        assert (await packet(b"/nothing")).startswith(b"HTTP/1.1 204 ")
        streamed = await packet(b"/pieces")
        assert b"\r\n\r\n4\r\nword\r\n" in streamed
        if not streamed.endswith(b"0\r\n\r\n"):
            assert await packet() == b"0\r\n\r\n"
        assert (await packet(b"/later")).endswith(b"\r\n\r\n")
        app.state.more.set()
        assert (await packet()).startswith(b"4\r\nword\r\n")
