"""A deadline that may be moved for every token: `asyncio.timeout` without a timer of its own for each wait.

Knows nothing of servers. Used by the client, which waits thousands of times a second.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType

__all__ = ["Deadline"]


class Deadline:
    """``with deadline.until(when):`` ends what is awaited inside at ``when``, by the loop's clock, with TimeoutError.

    The timer is left to run when a wait is over, and looks at what is waited for when it rings.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._when = math.inf
        self._rung = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def until(self, when: float) -> Deadline:
        """For the next wait."""
        self._when = when
        return self

    def close(self) -> None:
        """It rings no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        if self._timer is None or self._timer.when() > self._when:
            self._set()

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._rung:
            self._rung = False
            # A cancel from elsewhere at the same time goes first, as in asyncio.timeout.
            if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from failure

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._when:
            self._set()
        else:
            self._rung = True
            self._task.cancel()
