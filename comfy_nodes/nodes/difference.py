"""Text Diff: what differs between two texts, word by word."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from comfy_nodes.marking import kept, marked
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
        text = {"default": "", "multiline": True, "dynamicPrompts": False}
        return {"required": {"left": ("STRING", text), "right": ("STRING", text)}}

    async def compare(self, *, left: str, right: str) -> dict[str, Any]:
        found = await asyncio.to_thread(word_diff, left, right)
        shown = [asdict(piece) for piece in found]
        return {"ui": {"diff": [shown]}, "result": (marked(found), kept(found))}
