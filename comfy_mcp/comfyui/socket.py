"""ComfyUI's WebSocket: text events and binary frames of one prompt, read by a task that never stops reading.

Owns the frames (server.py, `send_image` and `send_image_with_metadata`). Events are a hint, never the truth: the
history says when a prompt is done. A client id is used once: ComfyUI forgets the newer of two sockets with one id.
"""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
import websockets

__all__ = ["Event", "Frame", "Socket", "Sockets"]

_MOST_FRAME = 256 * 2**20
_CLOSE_SECONDS = 0.3
_IDLE_SECONDS = 10.0
_FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
_PICTURE_WITH_METADATA = 4


@dataclass(frozen=True, slots=True)
class Event:
    """A text event: ``kind`` such as progress or executing, and its data."""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture on the socket, with the node and the prompt it belongs to."""

    node: str
    prompt_id: str
    picture: bytes


class Socket:
    """One connection under one client id."""

    def __init__(self, connection: websockets.ClientConnection, client_id: str) -> None:
        self.client_id = client_id
        self._connection = connection

    @property
    def open(self) -> bool:
        return self._connection.state is websockets.State.OPEN

    async def __aiter__(self) -> AsyncGenerator[Event | Frame]:
        """Everything that arrives and can be understood; ends when the connection does."""
        async for message in self._connection:
            read = _read_text(message) if isinstance(message, str) else _read_frame(message)
            if read is not None:
                yield read

    async def close(self) -> None:
        """Say goodbye, but do not wait long for the answer; also while the caller is being cancelled."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            await self._connection.close()
        self.abort()

    def abort(self) -> None:
        self._connection.transport.abort()


class Sockets:
    """Opens sockets, and keeps the last one open for the next run for a while: connecting costs as much as a small job.

    A kept socket is the same connection under the same client id, not a new one under an old id.
    """

    def __init__(self, url: str, headers: dict[str, str], seconds: float) -> None:
        self._url, self._headers, self._seconds = url, headers, seconds
        self._idle: Socket | None = None
        self._expiry: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Socket]:
        """A socket for one run that has asked for previews with metadata."""
        socket = self._take() or await self._open()
        try:
            yield socket
        finally:
            if socket.open and self._idle is None:
                self._keep(socket)
            else:
                await socket.close()

    async def close(self) -> None:
        socket = self._take()
        if socket is not None:
            await socket.close()

    async def _open(self) -> Socket:
        client_id = uuid.uuid4().hex
        connection = await websockets.connect(
            "ws" + self._url.removeprefix("http") + f"/ws?clientId={client_id}",
            additional_headers=self._headers,
            open_timeout=self._seconds,
            close_timeout=_CLOSE_SECONDS,
            max_size=_MOST_FRAME,
            # Unbounded, so that the library goes on reading while nobody waits for a message: a socket that is not
            # read holds up everybody at the real ComfyUI. It is idle for seconds only.
            max_queue=None,
            compression=None,
            ping_interval=15,
            ping_timeout=15,
            proxy=None,
        )
        await connection.send(_FLAGS)
        return Socket(connection, client_id)

    def _keep(self, socket: Socket) -> None:
        self._idle = socket
        self._expiry = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._drop)

    def _take(self) -> Socket | None:
        socket, self._idle = self._idle, None
        if self._expiry is not None:
            self._expiry.cancel()
        return socket if socket is not None and socket.open else None

    def _drop(self) -> None:
        socket = self._take()
        if socket is not None:
            socket.abort()


def _read_text(message: str) -> Event | None:
    try:
        told = json.loads(message)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(cast(dict[str, Any], told).get("data"), dict):
        return None
    found = cast(dict[str, Any], told)
    return Event(str(found.get("type", "")), found["data"])


def _read_frame(message: bytes) -> Frame | None:
    """Only frames that say whose they are: those without metadata are broadcasts of somebody else's prompt."""
    if len(message) < 8 or struct.unpack(">I", message[:4])[0] != _PICTURE_WITH_METADATA:
        return None
    length = struct.unpack(">I", message[4:8])[0]
    try:
        told = json.loads(message[8 : 8 + length])
    except ValueError:
        return None
    return Frame(str(told.get("node_id", "")), str(told.get("prompt_id", "")), message[8 + length :])
