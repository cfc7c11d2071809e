"""LLM Compare: models × prompts × parameters × repeats, side by side while the answers come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from comfy_nodes.again import Again
from comfy_nodes.comparing import UNLOAD, Unload, run
from comfy_nodes.host import Running, free_memory
from comfy_nodes.nodes import widgets
from comfy_nodes.table import table_of
from comfy_nodes.values import Compared, Models, Parameters, Prompts
from llm_bridge.compare import Comparison, Results, Variant, parse_rules
from llm_bridge.compare.reports import markdown
from llm_bridge.compare.reports.table import headline

__all__ = ["LLMCompare"]

_KNOWN_BY = ("unique_id", "repeats", "seed", "max_tokens", "checks")
"""What tells one comparison from another before the graph runs."""


class LLMCompare:
    """The same prompts to several models."""

    DISPLAY_NAME = "LLM Compare"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = (
        "Asks every model every prompt in every way, model by model, so that each is loaded once. A cell that fails "
        "fails alone; a comparison that was stopped goes on where it was."
    )
    RETURN_TYPES = ("LLM_RESULTS", "STRING", "STRING")
    RETURN_NAMES = ("results", "table", "texts")
    OUTPUT_TOOLTIPS = (
        "For Results Table, Judge, Vote, Pick Best and the exports.",
        "The comparison as Markdown.",
        "The answers as a list, prompt by prompt and in each model by model; that of a failed cell is empty.",
    )
    OUTPUT_IS_LIST = (False, False, True)
    FUNCTION = "compare"
    OUTPUT_NODE = True

    _again: ClassVar[Again] = Again()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "models": ("LLM_MODELS", {"tooltip": "From Model List."}),
                "prompts": ("LLM_PROMPTS", {"tooltip": "From Prompt List."}),
                "repeats": ("INT", {"default": 1, "min": 1, "max": 20, "tooltip": "How often each cell is asked."}),
                "seed": widgets.seed(
                    "For parameters that have none; the repeats count on from it. The same seed and inputs are not "
                    "asked again; another seed is."
                ),
                "max_tokens": widgets.max_tokens(1024, "For parameters that have none; 0 leaves it to the server."),
                "checks": widgets.text(
                    "Rules that an answer should keep, one in each line: contains:TEXT, max-words:50, regex:PATTERN, "
                    "json and so on. Empty checks nothing."
                ),
                "unload": (list(UNLOAD), {"tooltip": "When models that answered let go of their memory."}),
                "use_earlier_answers": (
                    "BOOLEAN",
                    {"default": True, "tooltip": "Off asks everything again, each time the graph runs."},
                ),
                "free_vram_first": widgets.FREE_FIRST,
            },
            "optional": {"parameters": ("LLM_PARAMETERS", {"tooltip": "From Parameter Grid. Without, one way."})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def IS_CHANGED(cls, use_earlier_answers: bool = True, **given: Any) -> float:
        """Who wants everything anew, has failed cells or lost the run does not want what ComfyUI has kept."""
        return cls._again.number(tuple(map(given.get, _KNOWN_BY))) if use_earlier_answers else float("nan")

    async def compare(
        self,
        *,
        models: Models,
        prompts: Prompts,
        repeats: int = 1,
        seed: int = 0,
        max_tokens: int = 1024,
        checks: str = "",
        unload: Unload = "leave loaded",
        use_earlier_answers: bool = True,
        free_vram_first: bool = False,
        parameters: Parameters | None = None,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        running, rules = Running(unique_id), parse_rules(checks.splitlines())
        variants = _filled(parameters.variants if parameters else (Variant(),), seed, max_tokens or None)
        comparison = Comparison(models.names, prompts.prompts, variants, repeats)
        if free_vram_first:
            free_memory()
        compared = await run(running, comparison, rules=rules, anew=not use_earlier_answers, unload=unload)
        failed = any(result.failure for result in compared.results.cells)
        self._again.note((unique_id, repeats, seed, max_tokens, checks), compared.run, failed=failed)
        shown, table = await asyncio.to_thread(_shown, compared)
        return {"ui": shown, "result": (compared, table, texts(compared.results))}


def texts(results: Results) -> list[str]:
    """The answers in the order of the cells, as many as there are cells."""
    return ["" if result.reply is None else result.reply.text for result in results.cells]


def _filled(variants: Iterable[Variant], seed: int, max_tokens: int | None) -> tuple[Variant, ...]:
    """The variants, where those without a seed or a bound of tokens have these."""
    filled: list[Variant] = []
    for variant in variants:
        own = variant.sampling
        sampling = replace(
            own,
            seed=seed if own.seed is None else own.seed,
            max_tokens=max_tokens if own.max_tokens is None else own.max_tokens,
        )
        filled.append(replace(variant, sampling=sampling))
    return tuple(filled)


def _shown(compared: Compared) -> tuple[dict[str, Any], str]:
    return {"comparison": [table_of(compared)], "text": [headline(compared.results)]}, markdown(compared.results)
