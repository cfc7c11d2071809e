"""The node classes, in ComfyUI's classic form: they load in every ComfyUI since 0.3.45, and without one.

Each is thin: its inputs, and what of the pack it calls. ``ALL`` has them in the order in which a menu shows them.
"""

from __future__ import annotations

from typing import Any

from comfy_nodes.nodes.captions import CaptionImages
from comfy_nodes.nodes.chart import Chart
from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.nodes.difference import TextDiff
from comfy_nodes.nodes.generate import LLMGenerate, LLMProvider
from comfy_nodes.nodes.judging import Judge, PickBest, Vote
from comfy_nodes.nodes.lists import ModelList, ParameterGrid, PromptList
from comfy_nodes.nodes.memory import FreeVRAM, UnloadLLM
from comfy_nodes.nodes.prompts import PromptExpander
from comfy_nodes.nodes.results import ResultsExport, ResultsImage, ResultsTable

__all__ = ["ALL"]

ALL: tuple[type[Any], ...] = (
    LLMProvider,
    LLMGenerate,
    ModelList,
    PromptList,
    ParameterGrid,
    LLMCompare,
    ResultsTable,
    ResultsImage,
    ResultsExport,
    TextDiff,
    Judge,
    Vote,
    PickBest,
    PromptExpander,
    CaptionImages,
    UnloadLLM,
    FreeVRAM,
    Chart,
)
