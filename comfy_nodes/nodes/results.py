"""Results Table, Results Image and Results Export: a comparison to read, to look at and to keep."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from comfy_nodes.exporting import export
from comfy_nodes.pictures import batch_of
from comfy_nodes.table import table_of
from comfy_nodes.values import Compared
from llm_bridge.compare import Results
from llm_bridge.compare.reports import Look, data, markdown, page, pictures, spreadsheet

__all__ = ["ResultsExport", "ResultsImage", "ResultsTable"]

_RESULTS = ("LLM_RESULTS", {"tooltip": "From LLM Compare, Judge or Vote."})
_MOST_TEXT = 20_000
"""Letters of the report for who runs the graph without its page, such as a chat. The output has all of it."""


class ResultsTable:
    """The answers side by side, in the node."""

    DISPLAY_NAME = "Results Table"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Shows the answers side by side, to sort and to compare word by word, with what was measured."
    RETURN_TYPES = ("LLM_RESULTS", "STRING")
    RETURN_NAMES = ("results", "markdown")
    OUTPUT_TOOLTIPS = ("The results as they came.", "The whole report as Markdown.")
    FUNCTION = "show"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"results": _RESULTS}}

    async def show(self, *, results: Compared) -> dict[str, Any]:
        table = await asyncio.to_thread(table_of, results)
        report = await asyncio.to_thread(markdown, results.results)
        return {"ui": {"comparison": [table], "text": [_shortened(report)]}, "result": (results, report)}


def _shortened(report: str) -> str:
    return report if len(report) <= _MOST_TEXT else f"{report[:_MOST_TEXT]}\n… The rest is in the node's output."


class ResultsImage:
    """The answers side by side, as pictures that can go wherever pictures go."""

    DISPLAY_NAME = "Results Image"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = (
        "Draws the table of a comparison: a picture for each page. Letters come from the fonts that are there."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("pages",)
    OUTPUT_TOOLTIPS = ("A batch with a picture for each page.",)
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "results": _RESULTS,
                "width": ("INT", {"default": 1600, "min": 640, "max": 8192, "step": 16, "tooltip": "In pixels."}),
                "text_size": ("INT", {"default": 16, "min": 8, "max": 40, "tooltip": "Of the letters, in pixels."}),
                "most_lines": (
                    "INT",
                    {"default": 12, "min": 1, "max": 200, "tooltip": "Lines of each answer; what is cut ends with …"},
                ),
                "most_pages": (
                    "INT",
                    {"default": 6, "min": 1, "max": 50, "tooltip": "Each takes about 45 MB of memory."},
                ),
                "dark": ("BOOLEAN", {"default": False, "tooltip": "Light letters on a dark ground."}),
            }
        }

    async def draw(
        self, *, results: Compared, width: int, text_size: int, most_lines: int, most_pages: int, dark: bool
    ) -> dict[str, Any]:
        look = Look(width, size=text_size, lines=most_lines, pages=most_pages, dark=dark)
        drawn = await asyncio.to_thread(pictures, results.results, look)
        return {"ui": {"text": list(drawn.notes)}, "result": (await asyncio.to_thread(batch_of, drawn.pages),)}


class ResultsExport:
    """The results as files, and as text for other nodes."""

    DISPLAY_NAME = "Results Export"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Writes a comparison into a new folder: Markdown, a table for spreadsheets, JSON, and one web page."
    RETURN_TYPES = ("STRING", "STRING", "STRING", "STRING")
    RETURN_NAMES = ("markdown", "csv", "json", "html")
    OUTPUT_TOOLTIPS = ("The report.", "A line for each cell.", "Everything, for programs.", "One page, with its style.")
    FUNCTION = "export"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "results": _RESULTS,
                "markdown": ("BOOLEAN", {"default": True, "tooltip": "Write report.md."}),
                "csv": ("BOOLEAN", {"default": True, "tooltip": "Write report.csv."}),
                "json": ("BOOLEAN", {"default": True, "tooltip": "Write report.json."}),
                "html": ("BOOLEAN", {"default": True, "tooltip": "Write report.html, which works without a network."}),
                "filename_prefix": (
                    "STRING",
                    {"default": "comparison", "tooltip": "The folder's name, which gets a number; a/b is b in a."},
                ),
                "folder": (["output", "temp"], {"tooltip": "Of ComfyUI, which empties temp when it starts."}),
            }
        }

    async def export(
        self,
        *,
        results: Compared,
        markdown: bool,
        csv: bool,
        json: bool,
        html: bool,
        filename_prefix: str,
        folder: str,
    ) -> dict[str, Any]:
        wanted = {"md": markdown, "csv": csv, "json": json, "html": html}
        formats = [name for name, chosen in wanted.items() if chosen]
        files = await asyncio.to_thread(export, results.results, formats, filename_prefix, folder)
        told = ", ".join(file["filename"] for file in files)
        place = f"{folder}/{files[0]['subfolder']}" if files else ""
        text = f"Saved in {place}: {told}" if files else "Nothing was saved."
        return {"ui": {"files": files, "text": [text]}, "result": await asyncio.to_thread(_texts, results.results)}


def _texts(results: Results) -> tuple[str, str, str, str]:
    """As the files have them, whether or not they are written."""
    told = json.dumps(data(results), ensure_ascii=False, indent=1) + "\n"
    return markdown(results), spreadsheet(results), told, page(results)
