"""The node classes, in ComfyUI's classic form: they load in every ComfyUI since 0.3.45, and without one.

Each is thin: its inputs, and what of the pack it calls. ``ALL`` has them in the order in which a menu shows them.
"""

from __future__ import annotations

from typing import Any

from comfy_nodes.nodes.generate import LLMGenerate, LLMProvider

__all__ = ["ALL"]

ALL: tuple[type[Any], ...] = (LLMProvider, LLMGenerate)
