"""Text Diff: what differs between two texts, word by word."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from comfy_nodes.host import Running
from comfy_nodes.marking import kept, marked
from comfy_nodes.nodes import widgets
from comfy_nodes.thread import on_bridge
from llm_bridge.compare import word_diff

__all__ = ["TextDiff"]


class TextDiff:
    """Two texts, and what was removed and added between them."""

    DISPLAY_NAME = "Text Diff"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Compares two texts word by word; Chinese and Japanese by character."
    RETURN_TYPES = ("STRING", "FLOAT")
    RETURN_NAMES = ("diff", "same")
    OUTPUT_TOOLTIPS = (
        "Markdown: ~~removed~~ is in the left text alone, **added** in the right one.",
        "Which part of the words is the same: 1 for equal texts, 0 when no word is kept.",
    )
    FUNCTION = "compare"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"left": widgets.text(), "right": widgets.text()},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    async def compare(self, *, left: str, right: str, unique_id: str | None = None) -> dict[str, Any]:
        return await on_bridge(Running(unique_id), lambda: asyncio.to_thread(_compared, left, right))


def _compared(left: str, right: str) -> dict[str, Any]:
    found = word_diff(left, right)
    shown = [asdict(piece) for piece in found]
    return {"ui": {"diff": [shown]}, "result": (marked(found), kept(found))}
