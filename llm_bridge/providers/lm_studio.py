"""LM Studio: its own `/api/v1` for models (`/api/v0`, which only lists, before 0.4), `/v1/chat/completions` for chats.

`/api/v1/chat` would tell of loading and reading in fractions, and of tokens per second. But it takes no earlier turns
of the assistant, no tools of ours, no seed, no stop texts and no JSON Schema, so every chat goes the other way.

From `lmstudio-ai/docs:1_developer/2_rest/` (list.md, load.md, unload.md, endpoints.mdx, and index.mdx for what each
endpoint can do), `1_developer/3_openai-compat/` and `1_developer/0_core/ttl-and-auto-evict.md`. Not run against the
real server. Not in its documentation, but in its issue tracker (`lmstudio-ai/lmstudio-bug-tracker`): the bodies of
failures, that unknown paths may be answered with status 200, `reasoning_effort`, and that with one model loaded old
versions answer for it under any name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest
from llm_bridge.errors import BridgeError, KeyRefused, ServerUnavailable, TimedOut, UnknownModel
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.loading import loading
from llm_bridge.providers.openai import OpenAICompatible
from llm_bridge.providers.reading import entries, flag, record, text_of, texts, whole
from llm_bridge.refusals import refusal_in
from llm_bridge.transport import Transport

__all__ = ["LMStudio"]

_MODELS = "/api/v1/models"
_OLD_MODELS = "/api/v0/models"


class LMStudio(OpenAICompatible):
    """``ttl`` holds for a model that a chat loads; one that `load` loads stays until it is unloaded."""

    kind: ClassVar[str] = "lm-studio"
    title: ClassVar[str] = "LM Studio"
    ports: ClassVar[tuple[int, ...]] = (1234,)
    loads = True
    unloads = True

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        return _is_list(await _asked(transport, _MODELS)) or _is_old_list(await _asked(transport, _OLD_MODELS))

    async def learn(self) -> None:
        self.loads = self.unloads = _is_list(await _asked(self.transport, _MODELS))

    async def models(self) -> list[Model]:
        if not self.loads:
            old = entries(await self.transport.get(_OLD_MODELS), "data")
            return [_old_model(entry) for entry in old if text_of(entry, "id")]
        return [
            _model(entry) for entry in entries(await self.transport.get(_MODELS), "models") if text_of(entry, "key")
        ]

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        """A model that is loaded with at least ``context`` tokens stays as it is; with fewer it is loaded anew."""
        if not self.loads:
            await super().load(model, context=context, ttl=ttl)
        there = await self._loaded(model)
        if there is not None:
            if context is None or (there.context or 0) >= context:
                return
            # A second load would be a second instance beside the first.
            await self.unload(model)
        with loading():
            await self._order("load", {"model": model} | ({} if context is None else {"context_length": context}))

    async def unload(self, model: str) -> None:
        if not self.unloads:
            await super().unload(model)
        there = await self._loaded(model)
        for instance in there.instances if there else ():
            # An instance may be named alone.
            if there and model in (there.id, instance):
                with suppress(UnknownModel):
                    await self._order("unload", {"instance_id": instance})

    def special(self, request: ChatRequest) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if request.ttl is not None:
            found["ttl"] = max(1, math.ceil(request.ttl))
        if request.think is False:
            found["reasoning_effort"] = "none"
        return found

    async def _loaded(self, model: str) -> Model | None:
        """What is loaded under this name, which may be an instance's."""
        for found in await self.models():
            if found.instances and model in (found.id, *found.instances):
                return found
        return None

    async def _order(self, what: str, body: Mapping[str, Any]) -> None:
        """Have it done; the answer comes when it is."""
        told = record(await self.transport.post(f"{_MODELS}/{what}", body, seconds=self.transport.timeouts.load))
        if error := told.get("error"):
            raise refusal_in(self.transport.name, error)


async def _asked(transport: Transport, path: str) -> Any:
    """What is there, None when the server does not know the path."""
    try:
        return await transport.get(path)
    except (ServerUnavailable, TimedOut, KeyRefused):
        raise
    except BridgeError:
        return None


def _is_list(told: Any) -> bool:
    found = record(told).get("models")
    return isinstance(found, list) and all(text_of(entry, "key") for entry in entries(told, "models"))


def _is_old_list(told: Any) -> bool:
    found = record(told).get("data")
    return isinstance(found, list) and all("compatibility_type" in entry for entry in entries(told, "data"))


def _model(entry: Mapping[str, Any]) -> Model:
    loaded = entries(entry, "loaded_instances")
    can = record(entry.get("capabilities"))
    return Model(
        text_of(entry, "key"),
        State.LOADED if loaded else State.UNLOADED,
        size=whole(entry, "size_bytes"),
        context=whole(record(loaded[0].get("config")), "context_length") if loaded else None,
        max_context=whole(entry, "max_context_length"),
        vision=flag(can, "vision"),
        tools=flag(can, "trained_for_tool_use"),
        reasoning=_reasons(can),
        chats=text_of(entry, "type") != "embedding",
        parameters=text_of(entry, "params_string") or None,
        quantization=text_of(record(entry.get("quantization")), "name") or None,
        instances=tuple(text_of(instance, "id") for instance in loaded),
    )


def _reasons(can: Mapping[str, Any]) -> bool | None:
    """A model may reason without there being a setting for it, so only a setting says anything."""
    allowed = texts(record(can.get("reasoning")), "allowed_options")
    return None if allowed is None else any(option != "off" for option in allowed)


def _old_model(entry: Mapping[str, Any]) -> Model:
    kind, loaded, can = text_of(entry, "type"), text_of(entry, "state") == "loaded", texts(entry, "capabilities")
    return Model(
        text_of(entry, "id"),
        State.LOADED if loaded else State.UNLOADED,
        context=whole(entry, "loaded_context_length") if loaded else None,
        max_context=whole(entry, "max_context_length"),
        vision=kind == "vlm" if kind else None,
        tools=None if can is None else "tool_use" in can,
        chats=kind != "embeddings",
        quantization=text_of(entry, "quantization") or None,
    )
