"""Answers a call with one JSON body when that is all there is to say, and with a stream when there is more.

Chats cap one line of a stream (5 MiB here, 1 MiB there), but not a body, so a picture travels better in a body; only
a stream can carry progress, and only the SDK's streaming mode can be cancelled. So the SDK always streams, and this
wrapper looks at the first event: if it is the response already, the stream is folded into a body. Progress is sent
only to who asked for it, so whoever gets a stream asked for one.
"""

from __future__ import annotations

import json
from enum import Enum, auto

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["fold"]


async def fold(app: ASGIApp, scope: Scope, receive: Receive, send: Send, request: object = None) -> None:
    """Run ``app``; an event stream that holds nothing but one response becomes that response.

    ``request`` is the id of what was asked, for a stream that ends without the response.
    """
    await app(scope, receive, _Folding(send, request))


class _State(Enum):
    UNDECIDED = auto()
    """An event stream has begun, and no event has come."""
    PASSING = auto()
    """Not a stream, or one that is to stay one."""
    ANSWERED = auto()
    """The body is sent; the rest of the stream says nothing new."""


class _Folding:
    def __init__(self, send: Send, request: object) -> None:
        self._send = send
        self._request = request
        self._state = _State.PASSING
        self._start: Message = {}
        self._held = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_stream(message):
            self._state, self._start = _State.UNDECIDED, message
        elif self._state is _State.PASSING:
            await self._send(message)
        elif self._state is _State.UNDECIDED and message["type"] == "http.response.body":
            self._held += message.get("body", b"")
            await self._decide(last=not message.get("more_body", False))

    async def _decide(self, *, last: bool) -> None:
        *events, _ = bytes(self._held).replace(b"\r\n", b"\n").split(b"\n\n")
        data = next(filter(None, map(_data, events)), None)
        if data is None and last:
            # The session ended under the request: an answer like any other, as a status that tells of a failure makes
            # the Python client raise out of the block that is just being left.
            error = {"code": -32603, "message": "The session has ended."}
            await self._answer(200, json.dumps({"jsonrpc": "2.0", "id": self._request, "error": error}).encode())
        elif data is not None and b'"method":' in data[:200]:
            self._state = _State.PASSING
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": bytes(self._held), "more_body": not last})
        elif data is not None:
            await self._answer(200, data)

    async def _answer(self, status: int, body: bytes) -> None:
        self._state = _State.ANSWERED
        dropped = (b"content-type", b"content-length", b"cache-control", b"connection", b"x-accel-buffering")
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() not in dropped]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
    )


def _data(event: bytes) -> bytes | None:
    """What an event carries; comments and empty events carry nothing."""
    return b"\n".join(line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")) or None
