"""LLM Provider and LLM Generate: which server answers, and one question to one model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from comfy_nodes.asking import ask, facts_of
from comfy_nodes.host import Running, free_memory
from comfy_nodes.nodes import widgets
from comfy_nodes.pictures import images_of
from comfy_nodes.schemas import schema_of
from comfy_nodes.setup import provider_names
from comfy_nodes.values import Provider
from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.messages import Message

__all__ = ["LLMGenerate", "LLMProvider"]

_ANY = "any"
_THINK = {"as the model likes": None, "think": True, "do not think": False}


class LLMProvider:
    """Chooses the server by its name. Addresses and keys are in the settings, never in a workflow."""

    DISPLAY_NAME = "LLM Provider"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = (
        "Which LLM server answers: LM Studio, Ollama, llama.cpp, KoboldCpp, text-generation-webui, Jan, vLLM. Those "
        "that run on this machine are found; others are named in a file, and keys come from the environment."
    )
    RETURN_TYPES = ("LLM_PROVIDER",)
    RETURN_NAMES = ("provider",)
    FUNCTION = "choose"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = {"tooltip": "Any takes whichever server has the model."}
        return {"required": {"server": ([_ANY, *provider_names()], tip)}}

    @classmethod
    def VALIDATE_INPUTS(cls, server: str) -> bool:
        """Any name passes: which servers there are is only known when they are asked."""
        return True

    def choose(self, server: str) -> tuple[Provider]:
        return (Provider("" if server == _ANY else server),)


class LLMGenerate:
    """One question to one model, and its answer as it comes."""

    DISPLAY_NAME = "LLM Generate"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = "Asks a language model. The text grows in the node; stopping the graph stops the model at once."
    RETURN_TYPES = ("STRING", "STRING", "STRING", "STRING", "INT", "FLOAT", "FLOAT")
    RETURN_NAMES = ("text", "reasoning", "usage", "metrics", "tokens", "tokens_per_second", "ttft")
    OUTPUT_TOOLTIPS = (
        "The answer.",
        "What the model thought before it, where it tells.",
        "Tokens as the server counted them, as JSON; null is not known.",
        "Seconds and speed, the model and the server that answered, as JSON; null is not known.",
        "Tokens that the model wrote; -1 when the server does not tell.",
        "How fast it wrote; -1 when that is not known.",
        "Seconds to the first token; -1 when that is not known.",
    )
    FUNCTION = "generate"
    OUTPUT_NODE = True

    _OPTIONAL: ClassVar[Mapping[str, Any]] = {
        "provider": widgets.PROVIDER,
        "images": widgets.images("Shown to the model, which must be able to see."),
        "schema": widgets.text("A JSON Schema that the answer must fit. Empty is free text."),
        "think": (list(_THINK), {"tooltip": "Whether a model that reasons is to do so."}),
        "free_vram_first": widgets.FREE_FIRST,
    }

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": widgets.model(),
                "prompt": widgets.text(),
                "system": widgets.text(),
                "seed": widgets.seed(),
                "temperature": widgets.temperature(0.7),
                "max_tokens": widgets.max_tokens(1024),
            },
            "optional": dict(cls._OPTIONAL),
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    async def generate(
        self,
        *,
        model: str,
        prompt: str,
        system: str,
        seed: int,
        temperature: float,
        max_tokens: int,
        provider: Provider | None = None,
        images: Any = None,
        schema: str = "",
        think: str = "as the model likes",
        free_vram_first: bool = False,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        running = Running(unique_id)
        sampling = widgets.sampling_of(seed=seed, temperature=temperature, max_tokens=max_tokens)
        shown = () if images is None else await asyncio.to_thread(images_of, images)
        messages = (*((Message.system(system),) if system else ()), Message.user(prompt, shown))
        request = ChatRequest(model, messages, sampling, schema=schema_of(schema), think=_THINK.get(think))
        if free_vram_first:
            free_memory()
        reply = await ask(running, provider, request)
        return {"ui": {"text": [reply.text], "facts": [facts_of(reply)]}, "result": outputs(reply)}


def outputs(reply: Reply) -> tuple[str, str, str, str, int, float, float]:
    """The reply as the node's outputs, in their order."""
    metrics = asdict(reply.metrics) | {"server_timings": asdict(reply.timings)}
    metrics |= {"model": reply.model, "server": reply.server, "finish": reply.finish, "notes": reply.notes}
    tokens, speed, ttft = reply.usage.completion, reply.tokens_per_second, reply.metrics.ttft
    return (
        reply.text,
        reply.reasoning,
        json.dumps(asdict(reply.usage)),
        json.dumps(metrics),
        -1 if tokens is None else tokens,
        -1.0 if speed is None else speed,
        -1.0 if ttft is None else ttft,
    )
