"""Listening: the application on a real port, with the limits that only the HTTP server itself can hold."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from comfy_mcp.errors import SettingsError
from comfy_mcp.proxy.app import create_app
from comfy_mcp.proxy.guard import protocol_within
from comfy_mcp.redaction import redacting, secrets_of
from comfy_mcp.settings import Settings, is_loopback
from comfy_mcp.tasks import background
from comfy_mcp.workbench import Workbench

__all__ = ["listening"]

_SHUTDOWN_SECONDS = 3
_MOST_MESSAGE = 2**20
_PING_SECONDS = 20.0


class _Server(uvicorn.Server):
    """A server whose end is ours to decide: signals reach the command."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()
        self.down = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def run_on(self, listener: socket.socket) -> None:
        try:
            await self.serve([listener])
        finally:
            self.up.set()
            self.down.set()


@asynccontextmanager
async def listening(workbench: Workbench) -> AsyncGenerator[str]:
    """Serve the workbench for the length of the block; gives the address.

    Raises:
        SettingsError: the address cannot be used, or needs a token.
        StorageUnavailable: the key that signs links cannot be read or made.
    """
    settings = workbench.settings
    await _refuse_openness(workbench)
    config = _config(create_app(workbench), settings)
    with redacting(lambda: secrets_of(workbench.settings)), _bound(settings.host, settings.port) as listener:
        server = _Server(config)
        async with background() as tasks:
            tasks.start_soon(server.run_on, listener)
            await server.up.wait()
            host, port = listener.getsockname()[:2]
            try:
                yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            finally:
                workbench.ending.set()
                server.should_exit = True
                # What is being answered gets its last seconds before the tasks are cancelled.
                with anyio.move_on_after(_SHUTDOWN_SECONDS + 1, shield=True):
                    await server.down.wait()


async def _refuse_openness(workbench: Workbench) -> None:
    """Raises SettingsError when others could reach us and none of them would be asked who they are."""
    settings = workbench.settings
    if not (is_loopback(settings.host) or settings.token is not None or await workbench.tokens.exist()):
        raise SettingsError(
            f"Listening on {settings.host} needs a token.",
            hint="Make one with comfy-workbench token add NAME, or set WORKBENCH_TOKEN to at least 16 characters, "
            "or listen on 127.0.0.1.",
        )


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Anybody could write them; how links look behind a proxy, public_url says.
        proxy_headers=False,
        http=protocol_within(settings.receive_timeout),
        h11_max_incomplete_event_size=settings.max_header * 2,
        ws="websockets-sansio",
        ws_max_size=_MOST_MESSAGE,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        # What we send in sockets is pictures and short words, and what comes in may be no bomb.
        ws_per_message_deflate=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every small answer waits for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise SettingsError(
            f"{host} port {port} cannot be listened on: {failure.strerror}.",
            hint="Choose another with --port; perhaps the workbench runs already.",
        ) from None
    return listener
