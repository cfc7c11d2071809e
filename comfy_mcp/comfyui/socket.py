"""ComfyUI's WebSocket: text events and binary frames of one prompt, read by a task that never stops reading.

Owns the frames (server.py, `send_image` and `send_image_with_metadata`). Events are a hint, never the truth: the
history says when a prompt is done. A client id is used once: ComfyUI forgets the newer of two sockets with one id.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
import websockets

__all__ = ["Event", "Frame", "Socket", "connected"]

_MOST_FRAME = 256 * 2**20
_CLOSE_SECONDS = 0.3
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

    async def __aiter__(self) -> AsyncGenerator[Event | Frame]:
        """Everything that arrives and can be understood; ends when the connection does."""
        async for message in self._connection:
            read = _read_text(message) if isinstance(message, str) else _read_frame(message)
            if read is not None:
                yield read


@asynccontextmanager
async def connected(url: str, headers: dict[str, str], seconds: float) -> AsyncGenerator[Socket]:
    """A socket under a fresh client id that has asked for previews with metadata."""
    client_id = uuid.uuid4().hex
    address = "ws" + url.removeprefix("http") + f"/ws?clientId={client_id}"
    connection = await websockets.connect(
        address,
        additional_headers=headers,
        open_timeout=seconds,
        close_timeout=_CLOSE_SECONDS,
        max_size=_MOST_FRAME,
        compression=None,
        ping_interval=15,
        ping_timeout=15,
        proxy=None,
    )
    try:
        await connection.send(_FLAGS)
        yield Socket(connection, client_id)
    finally:
        # Also when we are cancelled: a socket that nobody reads holds up everybody at the real ComfyUI.
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            await connection.close()
        connection.transport.abort()


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
