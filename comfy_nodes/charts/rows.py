"""A comparison as the rows of a chart, and the charts that are ready for them: `ready/NAME.json`.

The rows are flat, one for each answer or failure. Pure but for reading those files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_bridge.compare import Rank, Results
from llm_bridge.compare.measures import measures
from llm_bridge.compare.reports.data import plain
from llm_bridge.compare.results import CellResult
from llm_bridge.errors import BadInput

__all__ = ["READY", "ready", "rows_of"]

READY: Mapping[str, str] = {
    "speed": "speed.json",
    "time to the first token": "first-token.json",
    "time per prompt": "time-per-prompt.json",
    "rating": "rating.json",
}
"""The charts by the names that people choose."""


def rows_of(results: Results) -> list[dict[str, Any]]:
    """A row for each cell with a result, in their order; times are seconds, what is unknown is null.

    - ``model``, ``prompt``, ``variant``, ``repeat`` (from 0), ``failed``, ``cached``.
    - ``ttft``, ``tokens_per_second``, ``tokens``, ``characters``, ``reasoning_characters``, ``load``, ``queued``,
      ``seconds``.
    - ``checks_passed``, ``checks_made``.
    - ``rating``, ``rating_low``, ``rating_high``, ``games``, ``wins``: the model's, the same in all of its rows.
    """
    ranks = {rank.model: rank for rank in results.ranking}
    return [plain(_row(result, ranks.get(result.cell.model))) for result in results.cells]


def _row(result: CellResult, rank: Rank | None) -> dict[str, Any]:
    cell = result.cell
    return {
        "model": cell.model,
        "prompt": cell.prompt.name,
        "variant": cell.variant.name,
        "repeat": cell.repeat,
        "failed": result.failure is not None,
        "cached": result.cached,
        **asdict(measures(result.reply)),
        "checks_passed": sum(check.passed for check in result.checks),
        "checks_made": len(result.checks),
        "rating": rank and rank.rating,
        "rating_low": rank and rank.low,
        "rating_high": rank and rank.high,
        "games": rank and rank.games,
        "wins": rank and rank.wins,
    }


def ready(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The specification of a chart by its name, for these rows.

    Where the rows have nothing that it could show, as with a single model that nobody can rank, it says so.

    Raises: BadInput when there is no such chart, or no row.
    """
    if name not in READY:
        raise BadInput(f"There is no chart “{name}”.", hint=f"Choose one of {', '.join(READY)}.")
    spec = json.loads((Path(__file__).with_name("ready") / READY[name]).read_text("utf-8"))
    needs = spec["usermeta"]
    if not rows:
        raise BadInput(f"There is nothing for the chart “{name}”.", hint=needs["without"])
    if all(row.get(needs["field"]) is None for row in rows):
        return _saying(spec, needs["without"])
    return spec


def _saying(spec: Mapping[str, Any], words: str) -> dict[str, Any]:
    mark = {"type": "text", "fontSize": 14}
    return {
        "$schema": spec["$schema"],
        "title": spec["title"]["text"],
        "data": {"values": [{"words": words}]},
        "mark": mark,
        "encoding": {"text": {"field": "words"}},
    }
