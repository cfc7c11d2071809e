"""A comparison as CSV (RFC 4180): a row for every cell of the matrix, with all that was measured.

Text that a spreadsheet would take for a formula gets an apostrophe in front, as does text that begins with one; so
whoever reads it by program takes one leading apostrophe away, and has what was written.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict

from llm_bridge.compare.measures import Measures, measures
from llm_bridge.compare.reports.readable import whole
from llm_bridge.compare.reports.table import Row, rows
from llm_bridge.compare.results import CellResult, Results

__all__ = ["COLUMNS", "spreadsheet"]

_MEASURES = tuple(asdict(Measures()))
COLUMNS = (
    *("prompt", "variant", "repeat", "model", "state", "server", "served_model", "finish", "cached"),
    *_MEASURES,
    *("prompt_tokens", "cached_tokens", "reasoning_tokens", "checks_passed", "checks_made", "checks_failed"),
    *("error", "message", "hint", "question", "text", "reasoning", "tool_calls", "notes"),
)
"""The header. Times are seconds and repeats count from 1; what is unknown is empty."""

_DEFUSED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")

_Value = str | float | bool | None


def spreadsheet(results: Results) -> str:
    """The whole file; write it as UTF-8 without translating its line ends. A cell without a result has a row too."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    for row in rows(results):
        for model, result in zip(results.comparison.models, row.cells, strict=True):
            values = _values(model, row, result)
            writer.writerow([_written(values.get(column)) for column in COLUMNS])
    return target.getvalue()


def _values(model: str, row: Row, result: CellResult | None) -> dict[str, _Value]:
    place: dict[str, _Value] = {
        "model": model,
        "prompt": row.prompt.name,
        "variant": row.variant.name,
        "repeat": row.repeat + 1,
        "question": row.prompt.text,
    }
    if result is None:
        return {**place, "state": "missing"}
    return {**place, "cached": result.cached, **_checked(result), **_answered(result), **_failed(result)}


def _answered(result: CellResult) -> dict[str, _Value]:
    reply = result.reply
    if reply is None:
        return {}
    return {
        "state": "answered",
        "server": reply.server,
        "served_model": reply.model,
        "finish": reply.finish,
        **asdict(measures(reply)),
        "prompt_tokens": reply.usage.prompt,
        "cached_tokens": reply.usage.cached,
        "reasoning_tokens": reply.usage.reasoning,
        "text": reply.text,
        "reasoning": reply.reasoning,
        "tool_calls": "\n".join(f"{call.name}({call.arguments})" for call in reply.tool_calls),
        "notes": "\n".join(reply.notes),
    }


def _checked(result: CellResult) -> dict[str, _Value]:
    if not result.checks:
        return {}
    failed = [f"{check.rule}: {check.told}".removesuffix(": ") for check in result.checks if not check.passed]
    made = len(result.checks)
    return {"checks_passed": made - len(failed), "checks_made": made, "checks_failed": "\n".join(failed)}


def _failed(result: CellResult) -> dict[str, _Value]:
    failure = result.failure
    if failure is None:
        return {}
    return {"state": "failed", "error": failure.code, "message": failure.message, "hint": failure.hint}


def _written(value: _Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return repr(round(value, 6))
        case int():
            return str(value)
        case str():
            text = whole(value)
            return f"'{text}" if text.startswith(_DEFUSED) else text
