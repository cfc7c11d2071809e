"""What came out of a comparison: a result for each cell, with its checks, and what judges and people made of them.

Plain values; made by `run`, `checks`, `judge`, `votes` and `ranking`, read by `reports`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from llm_bridge.chat import Reply
from llm_bridge.compare.matrix import Cell, Comparison
from llm_bridge.errors import BridgeError

__all__ = ["CellResult", "Checked", "Failure", "Preference", "Rank", "Results", "Winner", "in_order"]

Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a cell has no answer."""

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: BridgeError) -> Failure:
        return cls(error.code, error.message, error.hint)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


@dataclass(frozen=True, slots=True)
class Checked:
    """What one rule says of one answer. ``told`` is why it failed, empty when it passed."""

    rule: str
    passed: bool
    told: str = ""


@dataclass(frozen=True, slots=True)
class CellResult:
    """The answer of a cell or why there is none; exactly one of ``reply`` and ``failure`` is set.

    ``cached``: it was answered earlier, and not asked again. Its metrics are those of the earlier time.
    """

    cell: Cell
    reply: Reply | None = None
    failure: Failure | None = None
    checks: tuple[Checked, ...] = ()
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Preference:
    """Somebody saw two answers to the same prompt and variant, and prefers one. The models are in alphabetical order.

    ``by`` is `judge:MODEL` or `person:NAME`. A judge is asked in both orders, and is ``consistent`` when it said the
    same both times; when it was not, the winner is "tie". ``reason`` is in its own words.
    """

    prompt: str
    variant: str
    repeat: int
    first: str
    second: str
    winner: Winner
    by: str
    reason: str = ""
    consistent: bool = True

    @property
    def ballot(self) -> tuple[str, str, str, int]:
        """Who judged the answers to what."""
        return self.by, self.prompt, self.variant, self.repeat

    @property
    def pair(self) -> tuple[str, str]:
        return self.first, self.second

    @property
    def by_person(self) -> bool:
        return self.by.startswith("person:")


@dataclass(frozen=True, slots=True)
class Rank:
    """The strength of a model by Bradley-Terry, on the scale of Elo (mean 1000), with a 95 % interval.

    ``games`` are the preferences it is in; ``wins`` count a tie as a half. The interval is None below two games.
    """

    model: str
    rating: float
    low: float | None
    high: float | None
    games: int
    wins: float


@dataclass(frozen=True, slots=True)
class Results:
    """A comparison as far as it is: ``cells`` are those that have a result, in the order of `Comparison.cells`."""

    comparison: Comparison
    cells: Sequence[CellResult] = ()
    preferences: Sequence[Preference] = ()
    ranking: Sequence[Rank] = ()
    notes: Sequence[str] = field(default_factory=tuple[str, ...])

    @property
    def answers(self) -> Mapping[tuple[str, str, int], Mapping[str, CellResult]]:
        """What can be set side by side: by prompt, variant and repeat, the results with an answer, by model."""
        answers: dict[tuple[str, str, int], dict[str, CellResult]] = {}
        for result in self.cells:
            if result.reply is not None:
                cell = result.cell
                answers.setdefault((cell.prompt.name, cell.variant.name, cell.repeat), {})[cell.model] = result
        return answers

    @property
    def complete(self) -> bool:
        return len(self.cells) == len(self.comparison)


def in_order(comparison: Comparison, results: Iterable[CellResult]) -> tuple[CellResult, ...]:
    """As the cells of the comparison are."""
    places = {cell.place: number for number, cell in enumerate(comparison.cells)}
    return tuple(sorted(results, key=lambda result: places[result.cell.place]))
