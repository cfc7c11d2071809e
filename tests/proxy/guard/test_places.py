"""How many answers of one caller may be open: never so many that nobody else gets one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import pytest
import websockets
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from comfy_mcp.callers import Principal, Right
from comfy_mcp.proxy.guard import Rules
from comfy_mcp.proxy.guard.places import Places
from comfy_mcp.workbench.tokens import Token
from tests.proxy.guard.serving import TOKEN, bearer, guarded, stored
from tests.workbenches import served

FEW = 32
"""What anybody may have open, however few connections there are."""


class Streams:
    """Answers that go on until the caller leaves."""

    def __init__(self) -> None:
        self.open = 0
        self.app = Starlette(routes=[Route("/", self._stream), WebSocketRoute("/comfyui/ws", self._socket)])

    async def _stream(self, request: Request) -> Response:
        async def words() -> AsyncGenerator[bytes]:
            self.open += 1
            try:
                while True:
                    yield b"word "
                    await anyio.sleep(0.05)
            finally:
                self.open -= 1

        return StreamingResponse(words())

    async def _socket(self, session: WebSocket) -> None:
        await session.accept()
        self.open += 1
        await session.receive()
        self.open -= 1

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while self.open != count:
                await anyio.sleep(0.01)


async def ask(url: str, stack: contextlib.AsyncExitStack, headers: dict[str, str], path: str = "/") -> SocketStream:
    """A request whose answer is never read."""
    stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0))
    lines = {"Host": "localhost", **headers}
    head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    await stream.send(head.encode() + b"\r\n")
    return stream


async def test_streams_of_one_token_shut_nobody_else_out(tmp_path: Path, http: httpx.AsyncClient) -> None:
    streams = Streams()
    async with stored(tmp_path) as tokens:
        greedy = bearer(await tokens.add(Token("greedy")))
        admin = bearer(await tokens.add(Token("admin", rights=frozenset({Right.MAKE, Right.ADMIN}))))
        rules = Rules(token=TOKEN, max_connections=64)
        async with guarded(rules, tokens, streams.app, most=64) as url, contextlib.AsyncExitStack() as stack:
            held = [await ask(url, stack, greedy) for _ in range(80)]
            await streams.until(FEW)
            refused = await http.get(url, headers=greedy)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
            assert refused.headers["retry-after"] and refused.json()["error"]["hint"]
            for headers in (admin, bearer(TOKEN)):
                async with http.stream("GET", url, headers=headers) as answer:
                    assert answer.status_code == 200
            # Who closes some may ask again.
            for stream in held:
                await stream.aclose()
            await streams.until(0)
            async with http.stream("GET", url, headers=greedy) as answer:
                assert answer.status_code == 200


async def test_a_socket_takes_a_place_as_a_stream_does(tmp_path: Path, http: httpx.AsyncClient) -> None:
    streams = Streams()
    async with (
        stored(tmp_path) as tokens,
        guarded(Rules(max_connections=64), tokens, streams.app) as url,
        contextlib.AsyncExitStack() as stack,
    ):
        greedy = bearer(await tokens.add(Token("greedy")))
        address = url.replace("http://", "ws://") + "/comfyui/ws"
        for _ in range(FEW):
            await stack.enter_async_context(websockets.connect(address, additional_headers=greedy))
        async with http.stream("GET", url, headers=greedy) as answer:
            assert answer.status_code == 429
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(address, additional_headers=greedy)
        assert refused.value.response.status_code == 429


@pytest.mark.parametrize(("connections", "owner", "other"), [(512, 256, 128), (64, 32, 32), (8, 32, 32)])
def test_nobody_may_have_all_and_everybody_enough(connections: int, owner: int, other: int) -> None:
    rules = Rules(max_connections=connections)
    assert [rules.most_open(each) for each in (Principal(), Principal("anna", "anna"))] == [owner, other]
    assert rules.most_open(Principal().by_page()) == owner


def test_a_place_is_free_again_whatever_happens() -> None:
    places = Places()
    for _ in range(3):
        with pytest.raises(OSError), places.one("anna", 1) as free:
            assert free
            with places.one("anna", 1) as again, places.one("bert", 1) as other:
                assert (again, other) == (False, True)
            raise OSError
    assert not places._taken  # pyright: ignore[reportPrivateUsage]


async def test_the_page_of_a_workbench_is_there_while_one_token_holds_all_it_may(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9", token=TOKEN, rate=0, max_connections=64) as client:
        added = await client.post("/sign-in", data={"token": TOKEN})
        assert added.status_code == 303
        async with stored(tmp_path) as tokens, contextlib.AsyncExitStack() as stack:
            greedy = bearer(await tokens.add(Token("greedy")))
            for _ in range(80):
                await ask(str(client.base_url), stack, greedy, "/queue/events")
            with anyio.fail_after(10):
                while (await client.get("/api/v1/jobs", headers=greedy)).status_code != 429:
                    await anyio.sleep(0.01)
            for path in ("/healthz", "/settings/tokens", "/static/page.css"):
                assert (await client.get(path)).status_code == 200
