"""Caption Images: what a model that sees says about each picture of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from comfy_nodes.host import Running, free_memory
from comfy_nodes.nodes import widgets
from comfy_nodes.pictures import images_of
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.several import Ask, ask_each
from comfy_nodes.values import Provider
from comfy_nodes.wrapping import bare
from llm_bridge.chat import ChatRequest
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
        "provider": widgets.PROVIDER,
        "prompt": widgets.text("A question of your own; it is asked instead of the style's."),
        "prefix": ("STRING", {"default": "", "tooltip": "Stands before every caption, such as a trigger word."}),
        "suffix": ("STRING", {"default": "", "tooltip": "Stands after every caption."}),
        "free_vram_first": widgets.FREE_FIRST,
        "unload_after": widgets.unload_after("Unload the language model after the last picture."),
    }

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": widgets.images("Each picture of the batch is asked about alone."),
                "model": widgets.model("auto:vision"),
                "style": (preset_names("captions"), {"tooltip": "What is written about each picture."}),
                "seed": widgets.seed(),
                "temperature": widgets.temperature(0.2),
                "max_tokens": widgets.max_tokens(512, "Of each caption; 0 leaves it to the server."),
            },
            "optional": dict(cls._OPTIONAL),
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

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
        sampling = widgets.sampling_of(seed=seed, temperature=temperature, max_tokens=max_tokens)
        shown = await asyncio.to_thread(images_of, images)
        text = prompt.strip() or preset("captions", style).text
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
        if not (caption := await asyncio.to_thread(bare, reply.text)):
            hint = "Raise max_tokens." if reply.finish == "length" else "Choose another model, or ask otherwise."
            raise BadAnswer(f"{reply.model or 'The model'} said nothing about a picture.", hint=hint)
        return caption

    return asked


def _joined(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())
