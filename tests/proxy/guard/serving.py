"""A guard on a real socket with nothing much behind it, and requests as bytes."""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from comfy_mcp.callers import principal_of
from comfy_mcp.proxy.guard import Guard, Identity, Rules, protocol_within
from comfy_mcp.store import SqliteStore
from comfy_mcp.workbench.tokens import Tokens

TOKEN = "a token of enough characters"


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def caller(request: Request) -> Response:
    principal = principal_of(request.scope)
    return JSONResponse([principal.name, principal.owner, sorted(principal.rights)])


async def unread(request: Request) -> Response:
    return PlainTextResponse("whatever it was")


async def page(request: Request) -> Response:
    return HTMLResponse("<p>hello", headers={"content-security-policy": "default-src 'none'", "cache-control": "x"})


async def talk(session: WebSocket) -> None:
    await session.accept()
    await session.send_json(principal_of(session.scope).name)
    await session.close()


def inner() -> Starlette:
    both = ["GET", "POST"]
    paths = ("/", "/healthz", "/link", "/sdapi/v1/options", "/comfyui/prompt", "/api/v1/backends/one/pause")
    routes = [Route(path, echo, methods=both) for path in paths]
    more = [Route("/me", caller), Route("/unread", unread, methods=both), Route("/page", page)]
    return Starlette(routes=[*routes, *more, WebSocketRoute("/comfyui/ws", talk)])


@asynccontextmanager
async def guarded(
    rules: Rules, tokens: Tokens | None = None, app: Starlette | None = None, *, most: int | None = None
) -> AsyncGenerator[str]:
    """The address of a guard over ``app``, with /link in the place of signed links; ``most`` connections."""
    guard = Guard(app or inner(), rules, lambda scope: scope["path"] == "/link", Identity(rules, tokens))
    config = uvicorn.Config(
        guard,
        log_config=None,
        http=protocol_within(rules.receive_timeout),
        ws="websockets-sansio",
        lifespan="off",
        limit_concurrency=most,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(5):
                while not server.started:
                    await anyio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


@asynccontextmanager
async def stored(data: Path) -> AsyncGenerator[Tokens]:
    async with SqliteStore.open(data / "workbench.sqlite3") as store:
        yield Tokens(store)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def exchange(url: str, sent: bytes, *, most: int = 2**16) -> bytes:
    """What a server answers to these bytes before it ends the connection, or within five seconds."""
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0) as stream:
        await stream.send(sent)
        with anyio.move_on_after(5):
            try:
                while len(answer) < most:
                    answer += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    return answer
