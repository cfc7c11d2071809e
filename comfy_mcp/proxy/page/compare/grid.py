"""A comparison as a grid: prompts below each other, models side by side, and each answer as it is shown.

Owns what of a cell is shown, and how much; pure. Used by the page of a comparison and by what follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, product

from comfy_mcp.ui import to_say
from comfy_mcp.workbench.underway import Place, Writing
from llm_bridge.compare import CellResult, Checked, Comparison, Failure, Prompt, Results
from llm_bridge.compare.measures import measures
from llm_bridge.compare.reports.readable import count, duration, rate, visible
from llm_bridge.compare.reports.table import said

__all__ = ["Fact", "Grid", "Line", "Shown", "facts_of"]

_MOST_CELLS = 240
"""On one page."""
_MOST_TEXT, _MOST_LINES = 700, 16
"""Of an answer; all of it is read side by side."""
_MOST_WRITING = 300


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was measured."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell. ``number`` is its place in the matrix, ``finish`` why the answer ended; ``clipped``: the text is longer.

    ``stage`` is waiting, loading, reading, thinking, writing, answered, failed, or unasked when nothing more will come.
    """

    number: int
    model: str
    stage: str
    text: str = ""
    clipped: bool = False
    thoughts: str = ""
    finish: str = ""
    kept: bool = False
    facts: tuple[Fact, ...] = ()
    checks: tuple[Checked, ...] = ()
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        return self.stage in ("answered", "failed")

    @property
    def passed(self) -> int:
        """How many checks."""
        return sum(check.passed for check in self.checks)


@dataclass(frozen=True, slots=True)
class Line:
    """The answers that stand side by side. ``repeat`` counts from 1; 0 where there is only one. ``first`` of its
    prompt, whose place is ``asked``."""

    asked: int
    prompt: Prompt
    variant: str
    repeat: int
    first: bool
    cells: tuple[Shown, ...]


class Grid:
    """The part of a comparison that is on the ``page``, which counts from 1; one that is not there is the nearest.
    ``over``: nothing more will be answered."""

    def __init__(self, comparison: Comparison, page: int, *, over: bool) -> None:
        self.comparison, self._rest = comparison, "unasked" if over else "waiting"
        self._lines = max(1, _MOST_CELLS // len(comparison.models))
        rows = len(comparison) // len(comparison.models)
        self.pages = -(-rows // self._lines)
        self.page = min(max(page, 1), self.pages)

    def first_of(self, prompt: int) -> int:
        """The number of the first cell of a prompt."""
        return prompt * (len(self.comparison) // len(self.comparison.prompts))

    def lines(self, results: Results, writing: Mapping[Place, Writing]) -> tuple[Line, ...]:
        """As far as it is."""
        asked, per = self.comparison, len(self.comparison.variants) * self.comparison.repeats
        known = {result.cell.place: result for result in results.cells}
        start = (self.page - 1) * self._lines
        places = product(enumerate(asked.prompts), asked.variants, range(asked.repeats))
        lines: list[Line] = []
        for row, ((number, prompt), variant, repeat) in enumerate(islice(places, start, start + self._lines), start):
            at = [(prompt.name, variant.name, repeat, model) for model in asked.models]
            cells = [
                self._cell(row * len(at) + column, place, known.get(place), writing.get(place))
                for column, place in enumerate(at)
            ]
            told = repeat + 1 if asked.repeats > 1 else 0
            first = row % per == 0 or row == start
            lines.append(Line(number, prompt, variant.name, told, first, tuple(cells)))
        return tuple(lines)

    def _cell(self, number: int, place: Place, result: CellResult | None, writing: Writing | None) -> Shown:
        """From its result, or what is known of it before."""
        model = place[3]
        if result is not None:
            return _ended(number, model, result)
        if writing is None:
            return Shown(number, model, self._rest)
        tail = visible(writing.text)[-_MOST_WRITING:]
        return Shown(number, model, writing.stage, tail, clipped=len(tail) == _MOST_WRITING)


def _ended(number: int, model: str, result: CellResult) -> Shown:
    if (reply := result.reply) is None:
        return Shown(number, model, "failed", failure=result.failure, checks=result.checks)
    text = visible(said(reply))
    start = _start(text)
    return Shown(
        number,
        model,
        "answered",
        start,
        clipped=len(start) < len(text),
        thoughts=_start(visible(reply.reasoning)),
        finish=reply.finish,
        kept=result.cached,
        facts=facts_of(result),
        checks=result.checks,
    )


def facts_of(result: CellResult) -> tuple[Fact, ...]:
    """What was measured of one answer and is known."""
    of = measures(result.reply)
    known = (
        (to_say("First token"), of.ttft, duration),
        (to_say("Speed"), of.tokens_per_second, rate),
        (to_say("Tokens"), of.tokens, count),
        (to_say("Loading"), of.load or None, duration),
    )
    return tuple(Fact(label, shown(value)) for label, value, shown in known if value is not None)


def _start(text: str) -> str:
    return "\n".join(text[:_MOST_TEXT].split("\n")[:_MOST_LINES])
