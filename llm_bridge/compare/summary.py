"""A comparison in one line for each model: medians of what was measured, and how it did.

Pure; read by `reports`. What no answer tells is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from llm_bridge.compare.measures import measures
from llm_bridge.compare.results import CellResult, Rank, Results

__all__ = ["ModelSummary", "summary"]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model over all its cells. Measures are medians over the answers that tell them; times are seconds.

    ``tokens`` is what the model wrote, by the server's count, reasoning included. ``queued`` is the wait before the
    request was sent, ``load`` that for the model, ``seconds`` from sending to the end.
    """

    model: str
    answers: int
    failures: int
    ttft: float | None
    tokens_per_second: float | None
    tokens: float | None
    characters: float | None
    reasoning_characters: float | None
    load: float | None
    queued: float | None
    seconds: float | None
    checks_passed: int
    checks_made: int
    rating: Rank | None


def summary(results: Results) -> tuple[ModelSummary, ...]:
    """One for each model, in the order of the comparison."""
    ranks = {rank.model: rank for rank in results.ranking}
    by_model: dict[str, list[CellResult]] = {model: [] for model in results.comparison.models}
    for result in results.cells:
        by_model[result.cell.model].append(result)
    return tuple(_of(model, cells, ranks.get(model)) for model, cells in by_model.items())


def _of(model: str, cells: Sequence[CellResult], rating: Rank | None) -> ModelSummary:
    measured = [measures(cell.reply) for cell in cells if cell.reply is not None]
    checks = [check for cell in cells for check in cell.checks]
    return ModelSummary(
        model,
        answers=len(measured),
        failures=len(cells) - len(measured),
        ttft=_middle(one.ttft for one in measured),
        tokens_per_second=_middle(one.tokens_per_second for one in measured),
        tokens=_middle(one.tokens for one in measured),
        characters=_middle(one.characters for one in measured),
        reasoning_characters=_middle(one.reasoning_characters for one in measured),
        load=_middle(one.load for one in measured),
        queued=_middle(one.queued for one in measured),
        seconds=_middle(one.seconds for one in measured),
        checks_passed=sum(check.passed for check in checks),
        checks_made=len(checks),
        rating=rating,
    )


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
