"""The circuit breaker of one backend: it stops sending jobs where they fail, and finds out by itself when to go on.

Closed: all is well. Open: nothing is sent; it is probed, ever more slowly. Half-open: it answered again, and one job
may show whether it works. (M. Nygard, "Release It!".)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from comfy_mcp.errors import WorkbenchError

__all__ = ["Breaker", "Circuit"]

_UNREACHABLE_SECONDS = (0.5, 1.0, 2.0, 5.0)
_STUCK_SECONDS = (30.0, 60.0, 300.0, 600.0)


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """``failure`` is why it is open. ``threshold`` jobs that got stuck one after the other open it."""

    def __init__(self, *, threshold: int = 3, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold, self._clock = threshold, clock
        self._stuck = 0
        self._waits = _UNREACHABLE_SECONDS
        self._probes = 0
        self._next_probe = 0.0
        self.circuit = Circuit.CLOSED
        self.failure: WorkbenchError | None = None

    def admits(self, running: int) -> bool:
        """Whether a job may start while ``running`` do."""
        return self.circuit is Circuit.CLOSED or (self.circuit is Circuit.HALF_OPEN and running == 0)

    @property
    def seconds_to_probe(self) -> float | None:
        """How long until it should be probed; None while it is not open."""
        return None if self.circuit is not Circuit.OPEN else max(0.0, self._next_probe - self._clock())

    def unreachable(self, failure: WorkbenchError) -> None:
        """It does not answer: nothing more is sent until a probe is answered."""
        if self.circuit is not Circuit.OPEN or self._waits is not _UNREACHABLE_SECONDS:
            self._open(failure, _UNREACHABLE_SECONDS)
        else:
            self.failure = failure
            self._probe_later()

    def stuck(self, failure: WorkbenchError) -> None:
        """A job got nowhere although it answers; after some of them in a row, or one on trial, it is left alone."""
        self._stuck += 1
        if self._stuck >= self._threshold or self.circuit is Circuit.HALF_OPEN:
            self._open(failure, _STUCK_SECONDS)

    def answered(self) -> None:
        """A probe was answered. One that was stuck is tried again only when its time has come."""
        if self.circuit is Circuit.OPEN and (self._waits is _UNREACHABLE_SECONDS or self.seconds_to_probe == 0):
            self.circuit, self.failure = Circuit.HALF_OPEN, None

    def worked(self) -> None:
        """A job came to an end of its own."""
        self.circuit, self.failure, self._stuck, self._probes = Circuit.CLOSED, None, 0, 0

    def _open(self, failure: WorkbenchError, waits: tuple[float, ...]) -> None:
        if waits is not self._waits:
            self._waits, self._probes = waits, 0
        self.circuit, self.failure = Circuit.OPEN, failure
        self._probe_later()

    def _probe_later(self) -> None:
        self._next_probe = self._clock() + self._waits[min(self._probes, len(self._waits) - 1)]
        self._probes += 1
