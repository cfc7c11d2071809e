"""Prompt Expander: from an idea to prompts for an image model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from comfy_nodes.expanding import Expansion
from comfy_nodes.host import Running, free_memory
from comfy_nodes.nodes import widgets
from comfy_nodes.pictures import images_of
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.several import ask_each
from comfy_nodes.values import Provider

__all__ = ["PromptExpander"]


class PromptExpander:
    """An idea as prompts of a style, one for each seed."""

    DISPLAY_NAME = "Prompt Expander"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = (
        "Makes prompts for an image model of an idea, of pictures, or of both. The styles are instructions with "
        "examples; add your own as files (docs/nodes.md)."
    )
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("prompt", "negative")
    OUTPUT_IS_LIST = (True, True)
    OUTPUT_TOOLTIPS = (
        "A prompt for each variant, as a list.",
        "What each picture must not show; empty for styles without a negative prompt.",
    )
    FUNCTION = "expand"
    OUTPUT_NODE = True

    _OPTIONAL: ClassVar[Mapping[str, Any]] = {
        "provider": widgets.PROVIDER,
        "images": widgets.images("What to describe, or to begin from; the model must be able to see."),
        "language": ("STRING", {"default": "English", "tooltip": "Of the prompt; empty leaves it to the model."}),
        "free_vram_first": widgets.FREE_FIRST,
        "unload_after": widgets.unload_after(
            "Unload the language model after its answer, so that sampling has the card."
        ),
    }

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "idea": widgets.text(),
                "model": widgets.model(),
                "style": (preset_names("expanders"), {"tooltip": "What kind of model the prompt is for."}),
                "variants": ("INT", {"default": 1, "min": 1, "max": 16, "tooltip": "Each has a seed of its own."}),
                "seed": widgets.seed("Of the first variant; the others count up from it."),
                "temperature": widgets.temperature(0.8),
                "max_tokens": widgets.max_tokens(1024),
            },
            "optional": dict(cls._OPTIONAL),
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    async def expand(
        self,
        *,
        idea: str,
        model: str,
        style: str,
        variants: int,
        seed: int,
        temperature: float,
        max_tokens: int,
        provider: Provider | None = None,
        images: Any = None,
        language: str = "English",
        free_vram_first: bool = False,
        unload_after: bool = False,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        running = Running(unique_id)
        first = widgets.sampling_of(seed=seed, temperature=temperature, max_tokens=max_tokens)
        shown = () if images is None else await asyncio.to_thread(images_of, images)
        expansion = Expansion(model, preset("expanders", style), idea.strip(), shown, language.strip())
        questions = [expansion.question(replace(first, seed=int(seed) + number)) for number in range(variants)]
        if free_vram_first:
            free_memory()
        found = await ask_each(running, provider, questions, called="Variant", unload_after=unload_after)
        text = "\n\n".join(each.prompt for each in found)
        running.text(text, last=True)
        return {
            "ui": {"text": [text]},
            "result": ([each.prompt for each in found], [each.negative for each in found]),
        }
