"""A client that opens a socket and does not read it: it is let go in time, and nobody else notices."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from anyio import to_thread

from comfy_mcp.proxy.comfyui import sockets
from comfy_mcp.proxy.comfyui.shapes import Event
from comfy_mcp.proxy.comfyui.story import spoken
from tests.proxy.comfyui.clients import graph_of, listening, submitted

HANDSHAKE = (
    "GET /comfyui/ws?clientId=shared HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@asynccontextmanager
async def unread(http: httpx.AsyncClient) -> AsyncGenerator[None]:
    """A socket whose client takes the first words of the answer to its handshake, and no more."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        await to_thread.run_sync(client.connect, ("127.0.0.1", http.base_url.port))
        client.sendall(HANDSHAKE.encode())
        assert b"101" in await to_thread.run_sync(client.recv, 16)
        yield


def long_winded(event: Event) -> str:
    return spoken(event) + " " * 500_000


async def test_who_does_not_read_is_let_go_and_others_hear_all(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, ended = vars(sockets)["_Connection"], anyio.Event()
    serve = connection.serve

    async def noted(self: object) -> None:
        await serve(self)
        ended.set()

    monkeypatch.setattr(connection, "serve", noted)
    monkeypatch.setattr(sockets, "_SEND_SECONDS", 0.5)
    # What is told is short: as it is, all buffers on the way would hold an hour of it.
    monkeypatch.setattr(sockets, "_NEWS_SECONDS", 0.02)
    monkeypatch.setattr(sockets, "spoken", long_winded)
    async with listening(http, "shared") as events, unread(http):
        with anyio.fail_after(20):
            while not ended.is_set():
                await events.until("status")
        job = await submitted(http, graph_of(), "shared")
        await events.until("executing", node=None, prompt_id=job)
