"""The JSON table of a comparison as the page shows it, while it runs and when it is done.

Owns the form of a cell and its bounds: the page gets what a person reads, the exports have everything. Pure; for
`comparing`, which tells of cells as they change, and for the nodes that show results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

from comfy_nodes.values import Compared
from llm_bridge.compare import CellResult, Checked, Comparison, Prompt
from llm_bridge.compare.measures import measures
from llm_bridge.compare.reports.table import remarks

__all__ = ["MOST_GROWING", "Growing", "Place", "State", "cell_of", "layout_of", "places_of", "table_of"]

MOST_GROWING = 2_000
"""Letters of a text that the page is told while the comparison runs."""

_MOST_TEXT = 20_000
_LEAST_TEXT = 200
_MOST_TABLE = 2_000_000

State = Literal["waiting", "loading", "prompt", "reasoning", "text", "done", "failed"]
Place = tuple[int, int]
"""The row and the column of a cell."""


@dataclass(frozen=True, slots=True)
class Growing:
    """A cell that is being answered, and what there is of it."""

    state: State = "waiting"
    text: str = ""
    reasoning: str = ""


def layout_of(comparison: Comparison) -> dict[str, Any]:
    """The columns and the rows: prompt, variant and repeat of each, in the order of `Comparison.cells`."""
    rows = product(comparison.prompts, comparison.variants, range(comparison.repeats))
    return {
        "models": list(comparison.models),
        "rows": [[prompt.name, variant.name, repeat] for prompt, variant, repeat in rows],
    }


def places_of(comparison: Comparison) -> Mapping[tuple[str, str, int, str], Place]:
    """Where in the table a cell is, by `Cell.place`."""
    width = len(comparison.models)
    return {cell.place: divmod(number, width) for number, cell in enumerate(comparison.cells)}


def cell_of(place: Place, seen: Growing | CellResult, most: int = MOST_GROWING) -> dict[str, Any]:
    """A cell as it is now, with at most ``most`` letters of each text: the end of one that grows, else the beginning.

    What is not known is left out.
    """
    told: dict[str, Any] = {"row": place[0], "model": place[1]}
    if isinstance(seen, Growing):
        text, reasoning = seen.text[-most:], seen.reasoning[-most:]
        told |= {"state": seen.state, "text": text, "reasoning": reasoning, "cached": False}
    else:
        told |= _ended(seen, most)
    return {name: value for name, value in told.items() if value is not None and (name != "reasoning" or value)}


def _ended(result: CellResult, most: int) -> dict[str, Any]:
    reply, of = result.reply, measures(result.reply)
    return {
        "state": "failed" if reply is None else "done",
        "text": "" if reply is None else _shown(reply.text, most),
        "reasoning": "" if reply is None else _shown(reply.reasoning, most),
        "error": None if result.failure is None else _shown(str(result.failure), most),
        "ttft": of.ttft,
        "tokens_per_second": of.tokens_per_second,
        "tokens": of.tokens,
        "checks": [_checked(checked, most) for checked in result.checks] or None,
        "cached": result.cached,
    }


def _checked(checked: Checked, most: int) -> dict[str, Any]:
    rule, told = _shown(checked.rule, max(most, _LEAST_TEXT)), _shown(checked.told, most)
    return {"rule": rule, "passed": checked.passed, "told": told}


def _shown(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most} more characters are in the exports)"


def table_of(compared: Compared) -> dict[str, Any]:
    """The whole table, of about two million bytes at most: cells of many long texts keep less of each, or nothing.

    Cells that have no result yet are "waiting". CPU-bound: who serves others calls it in a thread.
    """
    most = _MOST_TEXT
    table = _table(compared, most)
    while most and len(json.dumps(table)) > _MOST_TABLE:
        most = most // 2 if most > _LEAST_TEXT else 0
        table = _table(compared, most)
    return table


def _table(compared: Compared, most: int) -> dict[str, Any]:
    results = compared.results
    places = places_of(results.comparison)
    ended = {places[result.cell.place]: result for result in results.cells}
    return {
        "run": compared.run,
        **layout_of(results.comparison),
        "prompts": {prompt.name: _asked(prompt, most) for prompt in results.comparison.prompts},
        "cells": [cell_of(place, ended.get(place, Growing()), most) for place in places.values()],
        "ranking": [asdict(rank) for rank in results.ranking],
        "notes": [_shown(note, max(most, _LEAST_TEXT)) for note in remarks(results)],
    }


def _asked(prompt: Prompt, most: int) -> str:
    pictures = f"[{len(prompt.images)} pictures] " if prompt.images else ""
    return pictures + _shown(prompt.text, most)
