"""Pieces out of a streamed body: Server-Sent Events, JSON line by line, or one JSON text, however the bytes are cut.

Owns the bound on one piece; the meaning of a piece is the dialect's. Servers do not always name the right type, so the
first byte counts for more than the header. Not left to httpx-sse, which has no bound for what never ends, hands over
one event at a time, and takes a quarter of all the time that a token costs here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Protocol

import httpx

from llm_bridge.errors import BadAnswer
from llm_bridge.transport import COMMENT, MOST_BYTES

__all__ = ["Piece", "pieces"]

Piece = tuple[str, str]
"""The name of an event, "" when it has none, `COMMENT` for what is none, and its data."""

_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
_BOM = b"\xef\xbb\xbf"


class _Framing(Protocol):
    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are whole now."""
        ...

    def rest(self) -> list[Piece]:
        """What is left at the end of the body, if it is whole."""
        ...


async def pieces(response: httpx.Response, *, comments: bool = False) -> AsyncGenerator[list[Piece]]:
    """The pieces of an answer, together those that came together; a body that is no stream is one piece.

    With ``comments`` those of Server-Sent Events are pieces too, of the name `COMMENT`.

    Raises:
        BadAnswer: it is a web page, or a piece is larger than `transport.MOST_BYTES`.
        httpx.HTTPError: the connection broke.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    framing: _Framing | None = None
    begun = b""
    async for data in response.aiter_bytes():
        if framing is None:
            data = begun = (begun + data).removeprefix(_BOM).lstrip()
            if not begun or _BOM.startswith(begun):
                continue
            framing = _framing(kind, begun[:1], comments)
        if found := framing.feed(data):
            yield found
    if framing is not None and (found := framing.rest()):
        yield found


def _framing(kind: str, first: bytes, comments: bool) -> _Framing:
    if first == b"<":
        raise BadAnswer("A web page came for an answer.", hint="Is this the address of an LLM server?")
    if kind in _LINES:
        return _JsonLines()
    if first not in b"{[" and (kind == "text/event-stream" or first in b":dier"):
        return _Events(comments)
    return _Whole()


class _Lines:
    """Lines that are whole, of what came so far. ``held`` is the beginning of the next one."""

    def __init__(self) -> None:
        self.held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        *lines, begun = data.split(b"\n")
        if lines and self.held:
            lines[0] = bytes(self.held) + lines[0]
            self.held.clear()
        if begun:
            self.held += begun
            _check(len(self.held))
        return lines


class _Events:
    """Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    def __init__(self, comments: bool = False) -> None:
        self._lines = _Lines()
        self._comments = comments
        self._after_cr = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Piece]:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        found: list[Piece] = []
        for line in self._lines.feed(data):
            if not line:
                found += self._event()
            elif self._comments and line.startswith(b":"):
                found.append((COMMENT, _text(line[1:].removeprefix(b" "))))
            else:
                self._field(line)
        return found

    def rest(self) -> list[Piece]:
        line = bytes(self._lines.held)
        if line and _is_whole(line.partition(b":")[2]):
            self._field(line)
        return self._event()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            _check(self._size)
        elif name == b"event":
            self._name = _text(value.removeprefix(b" "))

    def _event(self) -> list[Piece]:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        if not data:
            return []
        return [("" if name == "message" else name, _text(data[0] if len(data) == 1 else b"\n".join(data)))]


class _JsonLines:
    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, data: bytes) -> list[Piece]:
        return [("", _text(line)) for line in self._lines.feed(data) if line.strip()]

    def rest(self) -> list[Piece]:
        line = bytes(self._lines.held)
        return [("", _text(line))] if _is_whole(line) else []


class _Whole:
    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        self._data += data
        _check(len(self._data))
        return []

    def rest(self) -> list[Piece]:
        return [("", _text(bytes(self._data)))]


def _check(size: int) -> None:
    if size > MOST_BYTES:
        raise BadAnswer("The server sends one piece without end.", hint="Is it an LLM server?")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _is_whole(data: bytes) -> bool:
    """Whether a line that has no end was meant as a whole one: no part of a JSON object is JSON."""
    text = _text(data).strip()
    try:
        return text == "[DONE]" or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
