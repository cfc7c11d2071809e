"""`/comfyui/ws`: a client hears of the jobs that it queued under its client id, as from ComfyUI itself.

Owns the life of one socket: nothing it sends counts, a slow reader is dropped, and so is whoever has too many. What is
told is in story, to whom in hub.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from functools import partial
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from comfy_mcp.callers import owner_of, principal_of
from comfy_mcp.errors import NotFound, StorageUnavailable
from comfy_mcp.proxy.comfyui.hub import Hub, Listener
from comfy_mcp.proxy.comfyui.story import Message, Story, spoken
from comfy_mcp.tasks import background
from comfy_mcp.workbench import Workbench

__all__ = ["add_socket", "client_of"]

_MOST_CLIENT_ID = 128
_BUFFER = 64
_SEND_SECONDS = 10.0
_NEWS_SECONDS = 4.0
"""LobeHub gives a job up when ten seconds pass without a message (client.ts of @saintno/comfyui-sdk)."""
_GOING_AWAY = 1001


def client_of(told: object) -> str | None:
    """The client id in what a client says; None when it cannot be one."""
    usable = isinstance(told, str) and 0 < len(told) <= _MOST_CLIENT_ID and told.isprintable()
    return told if usable and isinstance(told, str) else None


def add_socket(api: APIRouter, workbench: Workbench, hub: Hub) -> None:
    """The route of the socket."""

    @api.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        owner = owner_of(principal_of(socket.scope), socket.headers)
        client = client_of(socket.query_params.get("clientId")) or uuid4().hex
        await _Connection(workbench, hub, socket, owner, client).serve()


class _Connection:
    def __init__(self, workbench: Workbench, hub: Hub, socket: WebSocket, owner: str, client: str) -> None:
        self._workbench, self._hub, self._socket = workbench, hub, socket
        self._owner, self._client = owner, client
        self._send: MemoryObjectSendStream[Message]
        self._receive: MemoryObjectReceiveStream[Message]
        self._send, self._receive = anyio.create_memory_object_stream[Message](_BUFFER)

    async def serve(self) -> None:
        """Until either side has enough."""
        with self._send, self._receive, self._hub.listening(self._owner, self._client) as listener:
            await self._socket.accept()
            # What breaks here is the connection, or our database: the client finds the rest in the history.
            with suppress(WebSocketDisconnect, RuntimeError, TimeoutError, OSError, StorageUnavailable):
                async with background() as tasks:
                    tasks.start_soon(self._drain, tasks)
                    tasks.start_soon(self._write)
                    await self._send.send(await self._status(self._client))
                    async for job in listener.jobs:
                        tasks.start_soon(partial(self._follow, job, listener))
                with anyio.move_on_after(1):
                    await self._socket.close(_GOING_AWAY)

    async def _drain(self, tasks: TaskGroup) -> None:
        """Read what nobody asked for, and notice the end."""
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            pass
        tasks.cancel_scope.cancel()

    async def _write(self) -> None:
        """Raises TimeoutError for a reader that is too slow."""
        while True:
            message: Message | None = None
            with anyio.move_on_after(_NEWS_SECONDS):
                message = await self._receive.receive()
            if message is None:
                message = await self._status()
            with anyio.fail_after(_SEND_SECONDS):
                if isinstance(message, bytes):
                    await self._socket.send_bytes(message)
                else:
                    await self._socket.send_text(message)

    async def _follow(self, job: str, listener: Listener) -> None:
        story = Story()
        with suppress(NotFound):
            async with aclosing(self._workbench.follow(job, self._owner)) as changes:
                async for current in changes:
                    for message in story.of(current):
                        await self._send.send(message)
        self._hub.told(self._owner, self._client, job, listener)
        # ComfyUI sends it whenever its queue changes; LobeHub looks then whether its job is still there.
        await self._send.send(await self._status())

    async def _status(self, sid: str | None = None) -> str:
        remaining = await self._workbench.graphs.count(self._owner)
        told = {"status": {"exec_info": {"queue_remaining": remaining}}}
        return spoken(("status", told | ({"sid": sid} if sid else {})))
