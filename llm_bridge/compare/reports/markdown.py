"""A comparison as Markdown that reads well on GitHub: the table of models, then prompt by prompt every answer.

Owns the escaping: what a model or a person wrote stands in code fences or is escaped, so that it is text and no markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from llm_bridge.compare.diff import Piece, word_diff
from llm_bridge.compare.matrix import Prompt
from llm_bridge.compare.reports.readable import NONE, count, visible
from llm_bridge.compare.reports.table import (
    Row,
    columns,
    facts,
    headline,
    preferred,
    rated,
    remarks,
    rows,
    said,
    verdict,
)
from llm_bridge.compare.results import CellResult, Results

__all__ = ["LONGEST", "fence", "inline", "markdown", "models_table"]

LONGEST = 20_000
"""Characters of one text that are shown; a page of more is hard to read and not rendered by GitHub."""

_SHORT = 600


def markdown(results: Results) -> str:
    """The whole report, in UTF-8 once written."""
    models = results.comparison.models
    parts = [f"# Comparison of {len(models)} model{'s' if len(models) > 1 else ''}", headline(results)]
    if told := remarks(results):
        parts.append("\n".join(f"- {inline(remark)}" for remark in told))
    parts += ["## Models", models_table(results), *_ranking(results), "## Answers"]
    before = None
    for row in rows(results):
        if row.prompt != before:
            parts += _asked(row.prompt)
            before = row.prompt
        parts += _row(models, row)
    return "\n\n".join(parts) + "\n"


def inline(text: str) -> str:
    """Foreign text inside a line or a cell of a table: one line, and every sign that means something escaped."""
    line = " ".join(visible(text).split())
    escaped = re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", line)
    # At the beginning of a line these make a list or a rule.
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)


def fence(text: str) -> str:
    """A code block that ends where the text does, whatever is in it. Long text is cut, and the cut told."""
    shown = visible(text[:LONGEST])
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    cut = f"\n\n_The first {count(LONGEST)} of {count(len(text))} characters._" if len(text) > LONGEST else ""
    return f"{ticks}text\n{shown}\n{ticks}{cut}"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{fence(text)}\n\n</details>"


def _grid(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """``header`` and ``lines`` are escaped already; the first column is text, the others are numbers."""
    rule = "| :-- |" + " --: |" * (len(header) - 1)
    return "\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)])


def models_table(results: Results) -> str:
    """The table of models alone, a line for each: medians of what was measured, checks and ratings."""
    shown = columns(results)
    lines = (
        [inline(model), *(column.cells[number].text for column in shown)]
        for number, model in enumerate(results.comparison.models)
    )
    return _grid(["Model", *(column.title for column in shown)], lines)


def _ranking(results: Results) -> list[str]:
    if not results.ranking:
        return []
    ranks = sorted(results.ranking, key=lambda rank: -rank.rating)
    lines = ([inline(rank.model), rated(rank), count(rank.games), count(rank.wins)] for rank in ranks)
    note = (
        "Bradley-Terry on the scale of Elo, with its 95 % interval; where intervals overlap, the order may be chance."
    )
    return ["## Ranking", note, _grid(["Model", "Rating", "Compared", "Won"], lines)]


def _asked(prompt: Prompt) -> list[str]:
    parts = [f"### {inline(prompt.name) or 'Prompt'}"]
    parts.append(fence(prompt.text) if len(prompt.text) <= _SHORT else _folded("Prompt", prompt.text))
    if prompt.system:
        parts.append(_folded("System", prompt.system))
    if prompt.images:
        parts.append(f"Pictures sent with it: {len(prompt.images)}.")
    return parts


def _row(models: Sequence[str], row: Row) -> list[str]:
    parts = [f"#### {inline(row.label)}"] if row.label else []
    first = ""
    for model, result in zip(models, row.cells, strict=True):
        parts += _cell(model, result)
        if result is not None and result.reply is not None:
            parts += _differences(first, result.reply.text)
            first = first or result.reply.text
    if row.preferences:
        parts.append("\n".join(f"- {inline(preferred(preference))}" for preference in row.preferences))
    return parts


def _cell(model: str, result: CellResult | None) -> list[str]:
    name = f"**{inline(model)}**"
    if result is None:
        return [f"{name} — not run yet"]
    parts = [f"{name} — {_told(result)}"]
    reply = result.reply
    if reply is None:
        return parts
    if reply.reasoning:
        parts.append(_folded(f"Reasoning, {count(len(reply.reasoning))} characters", reply.reasoning))
    text = said(reply)
    return [*parts, fence(text) if text.strip() else "_The answer is empty._"]


def _differences(first: str, text: str) -> list[str]:
    """Where most words are the same: else the marks would tell less than the two answers."""
    if max(len(first), len(text)) > LONGEST:
        return []
    pieces = word_diff(first, text)
    same = sum(len(piece.right) for piece in pieces if piece.op == "same")
    if first == text or 2 * same < max(len(first), len(text)):
        return []
    return [_folded("What differs from the first answer", "".join(map(_marked, pieces)))]


def _marked(piece: Piece) -> str:
    """As git marks words: [-removed-] and {+added+}."""
    if piece.op == "same":
        return piece.right
    removed = f"[-{piece.left}-]" if piece.left else ""
    return removed + (f"{{+{piece.right}+}}" if piece.right else "")


def _told(result: CellResult) -> str:
    """What was measured and checked of it, or why it failed, in one line."""
    parts = [f"{label.lower()} {value}" for label, value in facts(result)]
    if result.reply is not None and not parts:
        parts = [f"measured: {NONE}"]
    if result.failure is not None:
        parts = [f"**failed** ({inline(result.failure.code)}): {inline(str(result.failure))}"]
    if result.reply is not None and result.reply.finish == "length":
        parts.append("**cut off by the limit of tokens**")
    if result.cached:
        parts.append("from an earlier run")
    if checked := verdict(result):
        parts.append(inline(checked))
    return " · ".join(parts)
