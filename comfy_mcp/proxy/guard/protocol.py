"""The part of the guard that only the HTTP server can hold: a request must arrive, or its connection is cut.

Owns the deadlines on connections. uvicorn has none for a head that trickles, and what an application answers early
(401, 413) leaves it reading the rest of the body for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from comfy_mcp.proxy.guard.rules import patience

__all__ = ["protocol_within"]

_AFTER_THE_GUARD = 0.5
"""A body that trickles is answered 408 by the application, before the connection is cut."""


class _Protocol(H11Protocol):
    seconds: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting_for: object = None
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait_for(None)

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
