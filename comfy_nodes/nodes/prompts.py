"""Prompt Expander: from an idea to prompts for an image model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from comfy_nodes.expanding import Expansion
from comfy_nodes.host import Running, free_memory
from comfy_nodes.pictures import images_of
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.several import ask_each
from comfy_nodes.values import MOST_SEED, Provider
from llm_bridge.chat import Sampling

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
        "provider": ("LLM_PROVIDER", {"tooltip": "Without one, any server that has the model."}),
        "images": ("IMAGE", {"tooltip": "What to describe, or to begin from; the model must be able to see."}),
        "language": ("STRING", {"default": "English", "tooltip": "Of the prompt; empty leaves it to the model."}),
        "free_vram_first": (
            "BOOLEAN",
            {"default": False, "tooltip": "Unload ComfyUI's own models first, for a card that both use."},
        ),
        "unload_after": (
            "BOOLEAN",
            {"default": False, "tooltip": "Unload the language model after its answer, so that sampling has the card."},
        ),
    }

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "idea": ("STRING", {"default": "", "multiline": True, "dynamicPrompts": False}),
                "model": (
                    "STRING",
                    {"default": "auto", "tooltip": "A name as the server has it, server/model, or auto."},
                ),
                "style": (preset_names("expanders"), {"tooltip": "What kind of model the prompt is for."}),
                "variants": ("INT", {"default": 1, "min": 1, "max": 16, "tooltip": "Each has a seed of its own."}),
                "seed": (
                    "INT",
                    {"default": 0, "min": 0, "max": MOST_SEED, "control_after_generate": True,
                     "tooltip": "Of the first variant; the others count up from it."},
                ),
                "temperature": (
                    "FLOAT",
                    {"default": 0.8, "min": -1.0, "max": 2.0, "step": 0.05, "tooltip": "-1 leaves it to the server."},
                ),
                "max_tokens": (
                    "INT",
                    {"default": 1024, "min": 0, "max": 1_000_000, "tooltip": "0 leaves it to the server."},
                ),
            },
            "optional": dict(cls._OPTIONAL),
            "hidden": {"unique_id": "UNIQUE_ID"},
        }  # fmt: skip

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
        shown = () if images is None else await asyncio.to_thread(images_of, images)
        expansion = Expansion(model, preset("expanders", style), idea.strip(), shown, language.strip())
        questions = [
            expansion.question(
                Sampling(
                    None if temperature < 0 else temperature,
                    seed=seed + number,
                    max_tokens=max_tokens or None,
                )
            )
            for number in range(variants)
        ]
        if free_vram_first:
            free_memory()
        found = await ask_each(running, provider, questions, called="Variant", unload_after=unload_after)
        text = "\n\n".join(each.prompt for each in found)
        running.text(text, last=True)
        return {
            "ui": {"text": [text]},
            "result": ([each.prompt for each in found], [each.negative for each in found]),
        }
