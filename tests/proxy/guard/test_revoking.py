"""What a token opened ends soon after the token is taken back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from comfy_mcp.proxy.guard import Rules, revoking
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.proxy.guard.serving import TOKEN, bearer, guarded, stored
from tests.workbenches import served, settings_for

ended: list[str] = []


async def stream(request: Request) -> Response:
    async def words() -> AsyncGenerator[bytes]:
        while True:
            yield b"word "
            await anyio.sleep(0.05)

    return StreamingResponse(words())


async def talk(session: WebSocket) -> None:
    await session.accept()
    try:
        while True:
            await session.send_json("word")
            await anyio.sleep(0.05)
    except WebSocketDisconnect:
        pass
    finally:
        ended.append("socket")


async def slow(request: Request) -> Response:
    await anyio.sleep(1)
    return PlainTextResponse("made")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Starlette:
    monkeypatch.setattr(revoking, "_SECONDS", 0.2)
    ended.clear()
    return Starlette(routes=[Route("/stream", stream), Route("/slow", slow), WebSocketRoute("/ws", talk)])


async def test_a_stream_of_a_revoked_token_breaks_off(app: Starlette, http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens, guarded(Rules(), tokens, app) as url:
        given = await tokens.add(Token("tablet"))
        with anyio.fail_after(5), pytest.raises(httpx.RemoteProtocolError):
            async with http.stream("GET", f"{url}/stream", headers=bearer(given)) as answer:
                async for _ in answer.aiter_bytes():
                    if await tokens.exist():
                        await tokens.revoke("tablet")


async def test_a_socket_of_a_revoked_token_is_closed(app: Starlette, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens, guarded(Rules(), tokens, app) as url:
        given, other = await tokens.add(Token("tablet")), await tokens.add(Token("other"))
        address = url.replace("http", "ws") + "/ws"
        async with (
            websockets.connect(address, additional_headers=bearer(given)) as session,
            websockets.connect(address, additional_headers=bearer(other)) as stays,
        ):
            assert await session.recv() == await stays.recv()
            await tokens.revoke("tablet")
            with anyio.fail_after(5), pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await session.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
            for _ in range(10):
                await stays.recv()
        assert ended


async def test_an_answer_in_one_piece_is_given(app: Starlette, http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored(tmp_path) as tokens, guarded(Rules(token=TOKEN), tokens, app) as url:
        given = await tokens.add(Token("tablet"))
        async with anyio.create_task_group() as tasks:

            async def revoke() -> None:
                await anyio.sleep(0.3)
                await tokens.revoke("tablet")

            tasks.start_soon(revoke)
            assert (await http.get(f"{url}/slow", headers=bearer(given))).text == "made"


async def test_the_socket_of_comfyuis_routes_is_closed_within_seconds(tmp_path: Path) -> None:
    async with (
        served(tmp_path, "http://127.0.0.1:9", comfyui_routes=True, token=TOKEN) as client,
        Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9"), dispatch=False) as elsewhere,
    ):
        given = await elsewhere.tokens.add(Token("tablet"))
        address = str(client.base_url).replace("http", "ws").rstrip("/") + "/comfyui/ws?clientId=one"
        async with websockets.connect(address, additional_headers=bearer(given)) as session:
            await session.recv()
            await elsewhere.tokens.revoke("tablet")
            with anyio.fail_after(10), pytest.raises(websockets.ConnectionClosed):
                while True:
                    await session.recv()
