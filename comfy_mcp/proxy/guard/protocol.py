"""The part of the guard that only the HTTP server can hold: a request must arrive, or its connection is cut.

Owns the deadlines on connections, and which one goes when there are too many. uvicorn has no deadline for a head that
trickles, what an application answers early (401, 413) leaves it reading the rest of the body for ever, and of too many
connections it refuses the requests, whoever sends them.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from comfy_mcp.proxy.guard.rules import patience

__all__ = ["protocol_within"]

_AFTER_THE_GUARD = 0.5
"""A body that trickles is answered 408 by the application, before the connection is cut."""


class _HeadWithBody:
    """A transport that sends the head of an answer together with what follows it at once.

    uvicorn writes each by itself: one packet more, before the first token.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            self._loop.call_soon(self._send_head)
            self._head += data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class _Protocol(H11Protocol):
    seconds: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting_for: object = None
        self._cut: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _HeadWithBody(transport, self.loop))
        self._quiet_since = self.loop.time()
        self._make_room()
        self._watch()

    def on_response_complete(self) -> None:
        self._quiet_since = self.loop.time()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait_for(None)

    @property
    def _quiet(self) -> bool:
        """Whether no request is being answered: none came yet, or not its whole head, or the last one is over."""
        return not self.cycle or self.cycle.response_complete

    def _make_room(self) -> None:
        """Before requests are refused for the number of connections, the one goes that was quiet longest: of those who
        say nothing any number may come, and a client whose connection rested opens another."""
        if self.limit_concurrency is None or len(self.connections) < self.limit_concurrency:
            return
        there = [each for each in self.connections if not each.transport.is_closing()]
        quiet = [each for each in there if isinstance(each, _Protocol) and each is not self and each._quiet]
        if len(there) >= self.limit_concurrency and quiet:
            min(quiet, key=lambda each: each._quiet_since).transport.abort()

    def _watch(self) -> None:
        """Time what is missing: the rest of a head (h11 is idle until it is whole), or of a body."""
        missing = self.conn.their_state
        # A WebSocket has a protocol of its own, with pings.
        upgraded = self.transport.get_protocol() is not self
        self._wait_for(None if upgraded or missing not in (h11.IDLE, h11.SEND_BODY) else missing)

    def _wait_for(self, missing: object) -> None:
        if missing is self._waiting_for:
            return
        if self._cut is not None:
            self._cut.cancel()
        self._waiting_for, self._cut = missing, None
        if missing is not None:
            seconds = self.seconds + (_AFTER_THE_GUARD if missing is h11.SEND_BODY else 0.0)
            self._cut = self.loop.call_later(seconds, self.transport.abort)


def protocol_within(seconds: float) -> type[asyncio.Protocol]:
    """HTTP/1.1 for uvicorn, where the head of a request must have arrived in so many seconds, and then its body."""
    return type("DeadlineProtocol", (_Protocol,), {"seconds": patience(seconds)})
