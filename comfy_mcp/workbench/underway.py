"""How far a comparison is while it is driven: which cells have ended, and what is being written now.

Owns what is known of a cell before its result is kept. Nothing of it is stored: who drives it next begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from llm_bridge.chat import Event, Loading, Prompting, Reasoning, Restarted, Text, Waiting
from llm_bridge.compare import Cell, CellResult

__all__ = ["Place", "Underway", "Writing"]

Place = tuple[str, str, int, str]
"""Where a cell stands: prompt, variant, repeat, model."""

_MOST_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class Writing:
    """A cell at work. ``text`` is the end of what its model has written so far."""

    stage: Literal["loading", "reading", "thinking", "writing"]
    text: str = ""


class Underway:
    """The cells of one comparison, by what is told of each. ``done`` have ended and ``failed`` have no answer.

    What was written last of a cell stays in ``writing`` when it ends, until it is forgotten: who looks sees either that
    or, after the count was kept, its result.
    """

    def __init__(self) -> None:
        self._ended = set[Place]()
        self._lost = set[Place]()
        self.writing = dict[Place, Writing]()

    @property
    def done(self) -> int:
        return len(self._ended)

    @property
    def failed(self) -> int:
        return len(self._lost)

    @property
    def over(self) -> list[Place]:
        """What has ended and is not forgotten."""
        return [place for place in self.writing if place in self._ended]

    def forget(self, places: Iterable[Place]) -> None:
        for place in places:
            self.writing.pop(place, None)

    def see(self, cell: Cell, change: Event | CellResult) -> None:
        place = cell.place
        match change:
            case CellResult():
                self._ended.add(place)
                if change.failure is not None:
                    self._lost.add(place)
            case Loading():
                self.writing[place] = Writing("loading")
            case Prompting():
                self.writing[place] = Writing("reading")
            case Reasoning():
                before = self.writing.get(place)
                self.writing[place] = Writing("thinking", before.text if before else "")
            case Text(text):
                before = self.writing.get(place)
                self.writing[place] = Writing("writing", ((before.text if before else "") + text)[-_MOST_TEXT:])
            case Restarted() | Waiting():
                self.writing.pop(place, None)
            case _:
                pass
