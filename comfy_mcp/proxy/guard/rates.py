"""How often each caller may ask.

Owns the counting, in memory that is bounded whoever asks. What is counted under which name, the guard knows.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Rates"]

_MINUTE = 60.0
_MOST_NAMES = 10_000


class Rates:
    """A token bucket for each name, as the one moment at which it is full again: it holds the requests of a minute and
    fills up evenly. ``clock`` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, rate: int) -> float:
        """Take one of the ``rate`` requests a minute, 0 for any number; the seconds to wait first, else 0."""
        if rate == 0:
            return 0.0
        now = self._clock()
        full_at = max(now, self._full_at.pop(name, now))
        wait = full_at + _MINUTE / rate - now - _MINUTE
        # A rounding error of the sum is no reason to refuse.
        admitted = wait <= 1e-6
        self._full_at[name] = full_at + _MINUTE / rate if admitted else full_at
        if len(self._full_at) > _MOST_NAMES:
            self._full_at.popitem(last=False)
        return 0.0 if admitted else wait
