"""What a comparison looks like to people and programs: Markdown, CSV, JSON, one HTML page, and pictures.

Owns the files of a report; each module here makes one of them out of `Results`, and runs no comparison.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from llm_bridge.compare.disk import replace_file
from llm_bridge.compare.reports.data import data
from llm_bridge.compare.reports.layout import Look
from llm_bridge.compare.reports.markdown import markdown, models_table
from llm_bridge.compare.reports.page import page
from llm_bridge.compare.reports.picture import Pictures, picture, pictures
from llm_bridge.compare.reports.spreadsheet import spreadsheet
from llm_bridge.compare.results import Results
from llm_bridge.errors import BadInput

__all__ = [
    "FORMATS",
    "Look",
    "Pictures",
    "data",
    "markdown",
    "models_table",
    "page",
    "picture",
    "pictures",
    "spreadsheet",
    "write",
]

_TEXTS: Mapping[str, Callable[[Results], str]] = {
    "md": markdown,
    "csv": spreadsheet,
    "json": lambda results: json.dumps(data(results), ensure_ascii=False, indent=1) + "\n",
    "html": page,
}
FORMATS = (*_TEXTS, "png")


def write(results: Results, folder: Path, formats: Collection[str] = FORMATS) -> list[str]:
    """Writes ``report.md``, ``report.csv`` and so on into a folder, and answers the names of the files.

    Pictures of several pages are ``report-1.png``, ``report-2.png``; those of an earlier writing go. Either all are
    made, or none is touched. CPU-bound and on the disk: who serves others calls it in a thread.

    Raises: BadInput for an unknown format or a folder that cannot be written; NotInstalled for png without Pillow.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise BadInput(f"There is no report of the format {unknown[0]}.", hint=f"Formats: {', '.join(FORMATS)}.")
    files = {f"report.{name}": make(results).encode() for name, make in _TEXTS.items() if name in formats}
    if "png" in formats:
        pages = pictures(results).pages
        names = [f"report-{number}.png" for number in range(1, len(pages) + 1)] if len(pages) > 1 else ["report.png"]
        files |= dict(zip(names, pages, strict=True))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
        if "png" in formats:
            _remove_older(folder, files)
    except OSError as error:
        why = error.strerror or "the disk refuses"
        raise BadInput(f"The reports cannot be written: {why}.", hint="Choose a folder that can be written.") from None
    return list(files)


def _remove_older(folder: Path, kept: Collection[str]) -> None:
    for path in folder.iterdir():
        if re.fullmatch(r"report(-\d+)?\.png", path.name) and path.name not in kept:
            path.unlink()
