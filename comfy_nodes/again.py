"""Which comparisons are to run again though nothing in their graph has changed.

ComfyUI keeps what a node made for as long as its IS_CHANGED says the same. Owns the number that it says here. Which
graph it is ComfyUI does not tell: only the node's id and those of its values that do not come along a link.
For LLM Compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from comfy_nodes.runs import is_kept

__all__ = ["Again", "Values"]

_MOST = 1000

Values = tuple[object, ...]
"""What a node was given; None is not known."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The last comparison of a node; ``run`` is None when it is to run again already."""

    run: str | None
    number: int


class Again:
    """The comparisons that were made, the latest of each node and values."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._last: dict[Values, _Last] = {}

    def note(self, values: Values, run: str, *, failed: bool) -> None:
        """A comparison is done; ``failed`` when not all of its cells have an answer."""
        before = self._last.pop(values, _Last(None, 0))
        self._last[values] = _Last(run, next(self._numbers) if failed else before.number)
        if len(self._last) > _MOST:
            del self._last[next(iter(self._last))]

    def number(self, values: Values) -> int:
        """Another than before, once for each comparison that failed in part or whose run folder has gone."""
        same = [known for known in self._last if all(a in (None, b) for a, b in zip(values, known, strict=True))]
        for known in same:
            run = self._last[known].run
            if run is not None and not is_kept(run):
                self._last[known] = _Last(None, next(self._numbers))
        return max((self._last[known].number for known in same), default=0)
