"""What waits in the store, as it was last read: a guest that comes while no job waits is let in without a look there.

Owns how long that may be believed. Used by the dispatcher and its reception.
"""

from __future__ import annotations

import time

from comfy_mcp.store import Queue

__all__ = ["POLL_SECONDS", "Seen"]

POLL_SECONDS = 0.5
"""How long what other processes do may go unseen."""


class Seen:
    """The queue as it was last read. Whoever changes it here says so, or posts a notice that there is work."""

    def __init__(self) -> None:
        self._queue: Queue | None = None
        self._until = 0.0

    def see(self, queue: Queue) -> None:
        """It was read just now."""
        self._queue, self._until = queue, time.monotonic() + POLL_SECONDS

    def forget(self) -> None:
        """It is not so any more."""
        self._queue = None

    @property
    def idle(self) -> Queue | None:
        """The queue, if no job waits in it as far as we know."""
        queue = self._queue
        return None if queue is None or queue.lanes or time.monotonic() >= self._until else queue
