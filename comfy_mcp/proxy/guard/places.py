"""How many answers of each caller may be open at once: streams and sockets take a connection for as long as they like.

Owns the counting. Who is counted under which name, and who may have how many, the guard and its rules know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["Places"]


class Places:
    """Counts by name what is being answered now."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, name: str, most: int) -> Generator[bool]:
        """One of the ``most`` places of this name, until the block ends; False when they are all taken."""
        if self._taken[name] >= most:
            yield False
            return
        self._taken[name] += 1
        try:
            yield True
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]
