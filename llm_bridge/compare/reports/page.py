"""A comparison as one HTML file: markup, style, script and data in one text that asks nothing of the network.

Owns how they are put together safely; what the reader sees is in `page.html`, `page.css`, `page.js` and `diff.js`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from llm_bridge.compare.reports.data import data, plain
from llm_bridge.compare.reports.table import columns, facts, headline, preferred, remarks, rows, said, verdict
from llm_bridge.compare.results import CellResult, Results

__all__ = ["page"]


def page(results: Results) -> str:
    """The whole file, to be written as UTF-8. Its policy allows the one style and the one script in it, by hash."""
    style, script = _read("page.css"), f"{_read('diff.js')}\n{_read('page.js')}"
    models = len(results.comparison.models)
    parts = {
        "title": f"Comparison of {models} model{'s' if models > 1 else ''}",
        "headline": html.escape(headline(results)),
        "policy": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "report": _embedded({"data": data(results), "view": _view(results)}),
    }
    # In one pass, so that a part which looks like a place for another stays as it is.
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: parts[found[1]], _read("page.html"))


def _view(results: Results) -> dict[str, Any]:
    """What the data says, in the words of the other reports. Cells are in the order of the data's."""
    sides = rows(results)
    view = {
        "remarks": remarks(results),
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "help": column.help,
                "best": column.best,
                "cells": [[cell.value, cell.text] for cell in column.cells],
            }
            for column in columns(results)
        ],
        "rows": [
            {
                "prompt": results.comparison.prompts.index(row.prompt),
                "label": row.label,
                "cells": [_cell(result) for result in row.cells],
                "preferences": [preferred(preference) for preference in row.preferences],
            }
            for row in sides
        ],
    }
    shown: dict[str, Any] = plain(view)
    return shown


def _cell(result: CellResult | None) -> dict[str, Any]:
    if result is None:
        return {"facts": [], "verdict": "", "passed": True, "calls": ""}
    calls = said(result.reply)[len(result.reply.text) :].strip() if result.reply else ""
    passed = all(check.passed for check in result.checks)
    return {"facts": facts(result), "verdict": verdict(result), "passed": passed, "calls": calls}


def _embedded(value: object) -> str:
    """As JSON that no parser of HTML can take for markup, and none of JavaScript for a line break."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read(name: str) -> str:
    return files(__package__ or __name__).joinpath(name).read_text(encoding="utf-8")
