"""Caption Images: what a model that sees says about each picture of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from comfy_nodes.host import Running, free_memory
from comfy_nodes.pictures import images_of
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.several import Ask, ask_each
from comfy_nodes.values import MOST_SEED, Provider
from comfy_nodes.wrapping import bare
from llm_bridge.chat import ChatRequest, Sampling
from llm_bridge.errors import BadAnswer
from llm_bridge.messages import Message

__all__ = ["CaptionImages"]


class CaptionImages:
    """One question for each picture, and the answers in the order of the batch."""

    DISPLAY_NAME = "Caption Images"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = (
        "Describes every picture of a batch with a model that sees: captions, tags, alternative texts, captions for "
        "training. Add your own questions as files (docs/nodes.md)."
    )
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("captions", "all")
    OUTPUT_IS_LIST = (True, False)
    OUTPUT_TOOLTIPS = ("A caption for each picture, as a list.", "All of them, each on a line of its own.")
    FUNCTION = "caption"
    OUTPUT_NODE = True

    _OPTIONAL: ClassVar[Mapping[str, Any]] = {
        "provider": ("LLM_PROVIDER", {"tooltip": "Without one, any server that has the model."}),
        "prompt": (
            "STRING",
            {"default": "", "multiline": True, "dynamicPrompts": False,
             "tooltip": "A question of your own; it is asked instead of the style's."},
        ),
        "prefix": ("STRING", {"default": "", "tooltip": "Stands before every caption, such as a trigger word."}),
        "suffix": ("STRING", {"default": "", "tooltip": "Stands after every caption."}),
        "free_vram_first": (
            "BOOLEAN",
            {"default": False, "tooltip": "Unload ComfyUI's own models first, for a card that both use."},
        ),
        "unload_after": (
            "BOOLEAN",
            {"default": False, "tooltip": "Unload the language model after the last picture."},
        ),
    }  # fmt: skip

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "Each picture of the batch is asked about alone."}),
                "model": (
                    "STRING",
                    {"default": "auto:vision", "tooltip": "A name as the server has it, server/model, or auto:vision."},
                ),
                "style": (preset_names("captions"), {"tooltip": "What is written about each picture."}),
                "seed": (
                    "INT",
                    {"default": 0, "min": 0, "max": MOST_SEED, "control_after_generate": True,
                     "tooltip": "The same seed and inputs are not asked again; another seed is."},
                ),
                "temperature": (
                    "FLOAT",
                    {"default": 0.2, "min": -1.0, "max": 2.0, "step": 0.05, "tooltip": "-1 leaves it to the server."},
                ),
                "max_tokens": (
                    "INT",
                    {"default": 512, "min": 0, "max": 1_000_000,
                     "tooltip": "Of each caption; 0 leaves it to the server."},
                ),
            },
            "optional": dict(cls._OPTIONAL),
            "hidden": {"unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    async def caption(
        self,
        *,
        images: Any,
        model: str,
        style: str,
        seed: int,
        temperature: float,
        max_tokens: int,
        provider: Provider | None = None,
        prompt: str = "",
        prefix: str = "",
        suffix: str = "",
        free_vram_first: bool = False,
        unload_after: bool = False,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        running = Running(unique_id)
        shown = await asyncio.to_thread(images_of, images)
        text = prompt.strip() or preset("captions", style).text
        sampling = Sampling(None if temperature < 0 else temperature, seed=seed, max_tokens=max_tokens or None)
        requests = [ChatRequest(model, (Message.user(text, (image,)),), sampling) for image in shown]
        if free_vram_first:
            free_memory()
        questions = [_question(request) for request in requests]
        found = await ask_each(running, provider, questions, called="Picture", unload_after=unload_after)
        captions = [_joined(prefix, caption, suffix) for caption in found]
        all_ = "\n".join(" ".join(caption.split()) for caption in captions)
        running.text(all_, last=True)
        return {"ui": {"text": [all_]}, "result": (captions, all_)}


def _question(request: ChatRequest) -> Callable[[Ask], Awaitable[str]]:
    async def asked(ask: Ask) -> str:
        reply = await ask(request)
        if not (caption := bare(reply.text)):
            hint = "Raise max_tokens." if reply.finish == "length" else "Choose another model, or ask otherwise."
            raise BadAnswer(f"{reply.model or 'The model'} said nothing about a picture.", hint=hint)
        return caption

    return asked


def _joined(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())
