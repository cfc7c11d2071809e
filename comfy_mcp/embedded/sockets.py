"""The WebSockets: who is connected, and what each is owed.

Owns framing and the per-socket queues. They are bounded, and a socket that does not read loses progress and previews:
the real ComfyUI waits for it instead, and everybody with it.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
import uuid
from typing import Any

from PIL import Image
from starlette.websockets import WebSocket, WebSocketDisconnect

__all__ = ["TEXT", "Sockets", "framed"]

_MOST_WAITING = 1_000
_LEGACY_PICTURE, TEXT, _PICTURE_WITH_METADATA = 1, 3, 4
_LOSSY = frozenset({"progress", "progress_state", TEXT})
_FORMATS = {"image/jpeg": ("JPEG", 1), "image/png": ("PNG", 2)}


class _Client:
    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.queue: asyncio.Queue[str | bytes] = asyncio.Queue(_MOST_WAITING)
        self.metadata = False

    def put(self, message: str | bytes, *, vital: bool = True) -> None:
        if self.queue.full():
            if not vital:
                return
            self.queue.get_nowait()
        self.queue.put_nowait(message)


class Sockets:
    """All connected clients by id. Everything here runs on the event loop."""

    def __init__(self, features: dict[str, Any]) -> None:
        self._clients: dict[str, _Client] = {}
        self._features = features

    async def serve(self, socket: WebSocket, status: dict[str, Any]) -> None:
        """Serve one connection until it closes."""
        await socket.accept()
        sid = socket.query_params.get("clientId") or uuid.uuid4().hex
        client = self._clients[sid] = _Client(socket)
        client.put(framed("status", {"status": status, "sid": sid}))
        writer = asyncio.create_task(self._write(client))
        try:
            first = True
            while True:
                message = await socket.receive_text()
                if first:
                    self._negotiate(client, message)
                first = False
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            writer.cancel()
            if self._clients.get(sid) is client:
                del self._clients[sid]

    async def _write(self, client: _Client) -> None:
        while True:
            message = await client.queue.get()
            if isinstance(message, str):
                await client.socket.send_text(message)
            else:
                await client.socket.send_bytes(message)

    def _negotiate(self, client: _Client, message: str) -> None:
        try:
            told = json.loads(message)
            if told["type"] == "feature_flags":
                client.metadata = bool(told["data"].get("supports_preview_metadata"))
                client.put(framed("feature_flags", self._features))
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def send(self, kind: str, data: dict[str, Any], client: str | None = None) -> None:
        """Send an event to one client, or to all."""
        self.send_framed(kind, framed(kind, data), client)

    def send_framed(self, kind: str | int, message: str | bytes, client: str | None) -> None:
        """Send what `framed` made of an event of this kind, to one client or to all."""
        for sid, each in list(self._clients.items()):
            if client is None or sid == client:
                each.put(message, vital=kind not in _LOSSY)

    def send_picture(self, picture: Image.Image, told: dict[str, Any], client: str | None) -> None:
        """Send a picture in the form that each client asked for; to all when the prompt named no client."""
        kind, number = _FORMATS[told["image_type"]]
        encoded = io.BytesIO()
        picture.save(encoded, kind, **({"quality": 90} if kind == "JPEG" else {"compress_level": 1}))
        data, metadata = encoded.getvalue(), json.dumps(told).encode()
        modern = struct.pack(">II", _PICTURE_WITH_METADATA, len(metadata)) + metadata + data
        legacy = struct.pack(">II", _LEGACY_PICTURE, number) + data
        for sid, each in list(self._clients.items()):
            if sid == client:
                each.put(modern if each.metadata else legacy, vital=told["image_type"] == "image/png")
            elif client is None:
                # The real server cannot know what strangers negotiated, and sends them the old form.
                each.put(legacy, vital=False)


def framed(kind: str | int, data: Any) -> str | bytes:
    """An event as it goes over the wire: a name with JSON, or one of ComfyUI's numbers with bytes.

    Raises:
        TypeError: ``data`` is neither.
    """
    if isinstance(data, bytes | bytearray):
        if isinstance(kind, str):
            raise TypeError(f"Binary event types must be integers, got {kind}")
        return struct.pack(">I", kind) + bytes(data)
    return json.dumps({"type": kind, "data": data})
