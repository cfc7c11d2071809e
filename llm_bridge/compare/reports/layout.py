"""The lines of a picture of a comparison: what stands in each cell, how high a row is, what fits on a page.

Owns the arithmetic and the words; `picture` draws it. Knows letters through `lettering` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from llm_bridge.chat import Reply
from llm_bridge.compare.reports.lettering import Lettering
from llm_bridge.compare.reports.readable import count, visible
from llm_bridge.compare.reports.table import Row, columns, facts, headline, remarks, rows, said, verdict
from llm_bridge.compare.results import CellResult, Results
from llm_bridge.errors import BadInput

__all__ = ["Band", "Layout", "Line", "Look", "Sheet"]

_SHOWN = ("rating", "answers", "checks", "ttft", "tokens_per_second", "seconds")


@dataclass(frozen=True, slots=True)
class Look:
    """Pixels: ``width`` of a page, the most ``height`` of one, ``size`` of letters. ``lines`` are the most of an answer
    and ``pages`` the most there are; what is left out is told.

    Raises: BadInput for what cannot be read or drawn.
    """

    width: int = 1600
    height: int = 2400
    size: int = 16
    lines: int = 12
    pages: int = 20
    dark: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("width", 640, 8192),
            ("height", 640, 8192),
            ("size", 8, 40),
            ("lines", 1, 200),
            ("pages", 1, 200),
        ):
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"The {name} of the picture is out of range.", hint=f"Give {low} to {high}.")
        if min(self.width, self.height) < 30 * self.size:
            raise BadInput(
                "The letters are too large for the picture.", hint="Give a smaller size or a larger picture."
            )


@dataclass(frozen=True, slots=True)
class Line:
    """``kind`` is title, name, text, quiet, bad or good; ``space`` pixels are left above it."""

    text: str
    kind: str
    space: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """A row of the table: its cells as lines, and what their grounds tell (failed, missing or "")."""

    cells: tuple[tuple[Line, ...], ...]
    grounds: tuple[str, ...]
    height: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page: lines above the table, its head, and the rows that fit."""

    above: tuple[Line, ...]
    head: Band
    bands: tuple[Band, ...]


class Layout:
    """Puts results on pages. ``hands`` are the letters of each kind."""

    def __init__(self, results: Results, look: Look, hands: Mapping[str, Lettering]) -> None:
        self.look = look
        self.hands = hands
        self.margin = 2 * look.size
        self.padding = round(look.size * 0.7)
        self._results = results
        self._columns = columns(results)
        models = len(results.comparison.models)
        inner = look.width - 2 * self.margin
        self.label = min(inner // 4, 16 * look.size)
        most = max(1, (inner - self.label) // (17 * look.size))
        self._groups = -(-models // most)
        self.per_group = -(-models // self._groups)
        self.column = (inner - self.label) // self.per_group

    @property
    def footer(self) -> int:
        """Pixels at the foot of every page, for its number and three lines of notes."""
        return self.margin + 4 * self.hands["quiet"].line

    def sheets(self) -> Iterator[Sheet]:
        """Group of models by group, from the first row to the last."""
        above = self._above()
        for group in range(self._groups):
            first = group * self.per_group
            chosen = range(first, min(first + self.per_group, len(self._results.comparison.models)))
            head = self._head(chosen)
            bands: list[Band] = []
            for row in rows(self._results):
                band = self._band(row, chosen, self._free(head, () if bands else above))
                if bands and sum(other.height for other in bands) + band.height > self._free(head, above):
                    yield Sheet(above, head, tuple(bands))
                    above, bands = (), []
                bands.append(band)
            yield Sheet(above, head, tuple(bands))
            above = ()

    def height(self, sheet: Sheet) -> int:
        """Of everything on it, in pixels."""
        table = sheet.head.height + sum(band.height for band in sheet.bands)
        return self.margin + self.tall(sheet.above) + table + self.footer

    def tall(self, lines: Sequence[Line]) -> int:
        space = self.padding if lines else 0
        return sum(self.hands[line.kind].line + line.space for line in lines) + 2 * space

    def _free(self, head: Band, above: Sequence[Line]) -> int:
        return self.look.height - self.margin - self.tall(above) - head.height - self.footer

    def lines(self, text: str, kind: str, width: int, most: int) -> list[Line]:
        return [Line(line, kind) for line in self.hands[kind].wrap(visible(text), width, most)]

    def _above(self) -> tuple[Line, ...]:
        """The title, and as many remarks as leave room for the table."""
        wide = self.look.width - 2 * self.margin
        models = len(self._results.comparison.models)
        lines = self.lines(f"Comparison of {models} model{'s' if models > 1 else ''}", "title", wide, 1)
        lines += self.lines(headline(self._results), "quiet", wide, 2)
        for remark in remarks(self._results):
            more = self.lines(remark, "quiet", wide, 2)
            if self.tall([*lines, *more, *more]) > self.look.height // 4:
                return (*lines, Line("More remarks stand in the other reports.", "quiet"))
            lines += more
        return tuple(lines)

    def _head(self, chosen: Sequence[int]) -> Band:
        inner = self.column - 2 * self.padding
        cells = [tuple(self.lines("Prompt", "name", self.label, 1))]
        for model in chosen:
            known = [f"{column.title} {column.cells[model].text}" for column in self._columns if column.key in _SHOWN]
            name = self.lines(self._results.comparison.models[model], "name", inner, 3)
            cells.append((*name, *self.lines(_joined(known), "quiet", inner, 4)))
        fitting = [_within(cell, self.look.height // 4, self) for cell in cells]
        return self._banded(fitting, ("",) * len(cells))

    def _band(self, row: Row, chosen: Sequence[int], free: int) -> Band:
        asked = self._asked(row)
        cells = [self._cell(row.cells[model]) for model in chosen]
        grounds = ["", *(_ground(row.cells[model]) for model in chosen)]
        return self._banded([_within(cell, free, self) for cell in (asked, *cells)], grounds)

    def _banded(self, cells: Sequence[tuple[Line, ...]], grounds: Sequence[str]) -> Band:
        return Band(tuple(cells), tuple(grounds), max(self.tall(cell) for cell in cells))

    def _asked(self, row: Row) -> tuple[Line, ...]:
        inner = self.label - 2 * self.padding
        label = self.lines(row.label, "quiet", inner, 2) if row.label else []
        name = self.lines(row.prompt.name, "name", inner, 3)
        return (*name, *label, *self.lines(row.prompt.text, "quiet", inner, self.look.lines))

    def _cell(self, result: CellResult | None) -> tuple[Line, ...]:
        inner = self.column - 2 * self.padding
        if result is None:
            return tuple(self.lines("Not run yet.", "quiet", inner, 1))
        if result.failure is not None or result.reply is None:
            return tuple(self.lines(f"Failed: {result.failure}", "bad", inner, self.look.lines))
        reply = result.reply
        text = said(reply)
        written = (
            self.lines(text, "text", inner, self.look.lines) if text.strip() else [Line("(empty answer)", "quiet")]
        )
        measured = self.lines(_told(result, reply), "quiet", inner, 3)
        measured[0] = replace(measured[0], space=self.padding // 2)
        cut = self.lines("Cut off by the limit of tokens.", "bad", inner, 1) if reply.finish == "length" else []
        passed = all(check.passed for check in result.checks)
        checks = self.lines(verdict(result), "good" if passed else "bad", inner, 3) if result.checks else []
        return (*written, *cut, *measured, *checks)


def _told(result: CellResult, reply: Reply) -> str:
    """In one line that breaks between the facts only."""
    told = [f"{label.lower()} {value}" for label, value in facts(result)] or ["nothing measured"]
    told += [f"reasoned {count(len(reply.reasoning))} characters"] if reply.reasoning else []
    told += ["from an earlier run"] if result.cached else []
    return _joined(told)


def _joined(facts: Iterable[str]) -> str:
    return " · ".join(fact.replace(" ", "\u00a0") for fact in facts).replace(" ·", "\u00a0·")


def _ground(result: CellResult | None) -> str:
    if result is None:
        return "missing"
    return "failed" if result.failure is not None else ""


def _within(cell: tuple[Line, ...], free: int, layout: Layout) -> tuple[Line, ...]:
    """A cell that fits on a page alone: of the answer the end is left out, of what was measured nothing."""
    lines = list(cell)
    while layout.tall(lines) > free and len(lines) > 1:
        texts = [number for number, line in enumerate(lines) if line.kind == "text"]
        last = texts[-1] if len(texts) > 1 else len(lines) - 1
        del lines[last]
        if lines[last - 1].text[-1:] != "…":
            lines[last - 1] = replace(lines[last - 1], text=f"{lines[last - 1].text} …")
    return tuple(lines)
