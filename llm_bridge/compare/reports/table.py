"""How people read a comparison: numbers with units, a line for each model, rows of answers, and what is not whole.

Owns the words and the order that every report shares; draws and escapes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import Literal

from llm_bridge.chat import Reply
from llm_bridge.compare.matrix import Prompt, Variant
from llm_bridge.compare.measures import measures
from llm_bridge.compare.reports.readable import NONE, count, duration, rate, share
from llm_bridge.compare.results import CellResult, Preference, Rank, Results
from llm_bridge.compare.summary import ModelSummary, summary

__all__ = [
    "Row",
    "Shown",
    "columns",
    "facts",
    "headline",
    "preferred",
    "rated",
    "remarks",
    "rows",
    "said",
    "verdict",
]


@dataclass(frozen=True, slots=True)
class Shown:
    """A number as it sorts and as it is read; ``value`` is None when it is unknown."""

    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of models. ``best`` says which end of it is better, "" when neither is."""

    key: str
    title: str
    help: str
    best: Literal["high", "low", ""]
    cells: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The answers that stand side by side, in the order of the models; None where a cell has no result yet."""

    prompt: Prompt
    variant: Variant
    repeat: int
    cells: tuple[CellResult | None, ...]
    preferences: tuple[Preference, ...]

    @property
    def label(self) -> str:
        """What tells it from the other rows of the same prompt; "" when there is nothing to tell."""
        repeat = f"repeat {self.repeat + 1}" if self.repeat else ""
        return " · ".join(part for part in (self.variant.name, repeat) if part)


_Measure = Callable[[ModelSummary], Shown]


def _measured(key: str, shown: Callable[[float | None], str]) -> _Measure:
    def read(line: ModelSummary) -> Shown:
        value: float | None = getattr(line, key)
        return Shown(value if value is not None and isfinite(value) else None, shown(value))

    return read


def _answers(line: ModelSummary) -> Shown:
    return Shown(line.answers, share(line.answers, line.answers + line.failures))


def _checks(line: ModelSummary) -> Shown:
    if not line.checks_made:
        return Shown(None, NONE)
    return Shown(line.checks_passed / line.checks_made, share(line.checks_passed, line.checks_made))


def _rating(line: ModelSummary) -> Shown:
    return Shown(line.rating.rating, rated(line.rating)) if line.rating else Shown(None, NONE)


_COLUMNS: tuple[tuple[str, str, str, Literal["high", "low", ""], _Measure], ...] = (
    ("rating", "Rating", "Bradley-Terry on the scale of Elo, with its 95 % interval", "high", _rating),
    ("answers", "Answers", "Answered, of the cells that have run", "", _answers),
    ("checks", "Checks", "Checks passed, of those made", "high", _checks),
    ("ttft", "First token", "Median time to the first token", "low", _measured("ttft", duration)),
    ("tokens_per_second", "Speed", "Median speed", "high", _measured("tokens_per_second", rate)),
    ("seconds", "Time", "Median time from sending to the end", "low", _measured("seconds", duration)),
    ("tokens", "Tokens", "Median of the tokens written, reasoning included", "", _measured("tokens", count)),
    ("characters", "Characters", "Median length of the answer", "", _measured("characters", count)),
    (
        "reasoning_characters",
        "Reasoning",
        "Median characters of reasoning",
        "",
        _measured("reasoning_characters", count),
    ),
    ("load", "Load", "Median wait for the model to load", "low", _measured("load", duration)),
    ("queued", "Queue", "Median wait before sending", "", _measured("queued", duration)),
)


def columns(results: Results) -> tuple[Column, ...]:
    """The table of models. A column of which nothing is known is left out; the answers always stand."""
    lines = summary(results)
    every = (
        Column(key, title, help, best, tuple(read(line) for line in lines)) for key, title, help, best, read in _COLUMNS
    )
    # Zeros in every line, as of reasoning or queueing, tell nothing either.
    return tuple(column for column in every if column.key == "answers" or any(cell.value for cell in column.cells))


def rows(results: Results) -> tuple[Row, ...]:
    """Prompt by prompt, each by variant and repeat."""
    matrix = results.comparison
    found = {_place(result.cell.prompt.name, result): result for result in results.cells}
    preferences: dict[tuple[str, str, int], list[Preference]] = {}
    for preference in results.preferences:
        preferences.setdefault((preference.prompt, preference.variant, preference.repeat), []).append(preference)
    return tuple(
        Row(
            prompt,
            variant,
            repeat,
            tuple(found.get((prompt.name, variant.name, repeat, model)) for model in matrix.models),
            tuple(preferences.get((prompt.name, variant.name, repeat), ())),
        )
        for prompt, variant, repeat in product(matrix.prompts, matrix.variants, range(matrix.repeats))
    )


def _place(prompt: str, result: CellResult) -> tuple[str, str, int, str]:
    return prompt, result.cell.variant.name, result.cell.repeat, result.cell.model


def facts(result: CellResult) -> tuple[tuple[str, str], ...]:
    """What was measured of one cell and is known, as label and value."""
    of = measures(result.reply)
    known = (
        ("First token", of.ttft, duration),
        ("Speed", of.tokens_per_second, rate),
        ("Tokens", of.tokens, count),
        ("Time", of.seconds, duration),
        ("Load", of.load, duration),
        ("Queue", of.queued or None, duration),
    )
    return tuple((label, shown(value)) for label, value, shown in known if value is not None)


def verdict(result: CellResult) -> str:
    """What the checks say, "" when none was made."""
    failed = [
        f"{check.rule} ({check.told})" if check.told else check.rule for check in result.checks if not check.passed
    ]
    if not result.checks:
        return ""
    passed = f"{share(len(result.checks) - len(failed), len(result.checks))} checks passed"
    return f"{passed}; failed: {', '.join(failed)}" if failed else passed


def said(reply: Reply) -> str:
    """The answer with the calls that it asks for."""
    calls = [f"→ calls {call.name}({call.arguments})" for call in reply.tool_calls]
    return "\n".join(part for part in (reply.text, *calls) if part)


def preferred(preference: Preference) -> str:
    """Who prefers which answer, and why."""
    first, second = preference.first, preference.second
    choice = {
        "first": f"{first} over {second}",
        "second": f"{second} over {first}",
        "tie": f"{first} and {second} alike",
    }
    wavering = "" if preference.consistent else " (changed its mind with the order)"
    reason = f" – {preference.reason}" if preference.reason else ""
    return f"{preference.by}: {choice[preference.winner]}{wavering}{reason}"


def rated(rank: Rank) -> str:
    if rank.low is None or rank.high is None:
        return f"{rank.rating:.0f}"
    return f"{rank.rating:.0f} ({rank.low:.0f}–{rank.high:.0f})"


def headline(results: Results) -> str:
    """How large the comparison is, and how far it came."""
    matrix = results.comparison
    failed = sum(result.failure is not None for result in results.cells)
    size = [_many(len(matrix.models), "model"), _many(len(matrix.prompts), "prompt")]
    size += [_many(len(matrix.variants), "variant")] if len(matrix.variants) > 1 else []
    size += [_many(matrix.repeats, "repeat")] if matrix.repeats > 1 else []
    missing = len(matrix) - len(results.cells)
    state = [f"{count(len(results.cells) - failed)} of {_many(len(matrix), 'cell')} answered"]
    state += [f"{count(failed)} failed"] if failed else []
    state += [f"{count(missing)} not run"] if missing else []
    return f"{' · '.join(size)}: {', '.join(state)}"


def remarks(results: Results) -> tuple[str, ...]:
    """What a reader must know before trusting the numbers: what is missing, cut, old or not ranked."""
    replies = [result.reply for result in results.cells if result.reply is not None]
    found = (
        ("Not run yet", len(results.comparison) - len(results.cells)),
        ("Failed, and counted in no median", sum(result.failure is not None for result in results.cells)),
        ("Cut off by the limit of tokens", sum(reply.finish == "length" for reply in replies)),
        ("Answered in an earlier run, and measured then", sum(result.cached for result in results.cells)),
    )
    told = [f"{what}: {_many(number, 'cell')}." for what, number in found if number]
    return (*told, *_unranked(results), *_inconsistent(results.preferences), *results.notes)


def _unranked(results: Results) -> Iterable[str]:
    models = results.comparison.models
    if len(models) < 2:
        return
    ranked = {rank.model for rank in results.ranking}
    if not ranked:
        yield "Not ranked: nobody has compared the answers yet."
    elif missing := [model for model in models if model not in ranked]:
        yield f"Not ranked, as nobody has compared them: {', '.join(missing)}."


def _inconsistent(preferences: Sequence[Preference]) -> Iterable[str]:
    judged = [preference for preference in preferences if preference.by.startswith("judge:")]
    wavering = sum(not preference.consistent for preference in judged)
    if wavering:
        yield f"The judge changed its mind with the order in {wavering} of {len(judged)}; those count as ties."


def _many(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"
