"""Serving the engine on a port of this machine.

Owns the application, the Host and Origin rule that ComfyUI has on loopback, and the listening.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from comfy_mcp.embedded.engine import Engine, EngineConfig
from comfy_mcp.embedded.routes import routes
from comfy_mcp.errors import SettingsError

__all__ = ["create_engine_app", "serve_engine"]


def create_engine_app(config: EngineConfig | None = None) -> ASGIApp:
    """An ASGI application that is a whole ComfyUI; its state lives as long as its lifespan."""
    engine = Engine(config or EngineConfig())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        worker = asyncio.create_task(engine.work())
        try:
            yield
        finally:
            engine.host.stop.set()
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            engine.close()

    return _SameOrigin(Starlette(routes=routes(engine), lifespan=lifespan))


class _SameOrigin:
    """Refuses pages of other origins, as ComfyUI does when it is reached by a loopback name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = urlsplit(headers.get("origin", "")).netloc
            if origin and origin != headers.get("host", ""):
                await PlainTextResponse("", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def serve_engine(
    host: str, port: int, *, config: EngineConfig | None = None, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until cancelled or signalled; ``ready`` is told the address.

    Raises:
        SettingsError: ``host`` is not loopback, or the port is taken.
    """
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise SettingsError("The embedded engine listens on this machine only.", hint="Use 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every small answer waits for 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as failure:
            raise SettingsError(f"Port {port} cannot be used: {failure.strerror}.", hint="Choose another.") from None
        app = create_engine_app(config)
        listener.listen(128)
        if ready is not None:
            ready(f"http://{host}:{listener.getsockname()[1]}")
        settings = uvicorn.Config(
            app, log_config=None, access_log=False, ws="websockets-sansio", ws_max_size=2**20,
            ws_per_message_deflate=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        await uvicorn.Server(settings).serve([listener])
