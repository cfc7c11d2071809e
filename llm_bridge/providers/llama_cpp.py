"""llama.cpp's own server, with one model or as the router of many.

From ggml-org/llama.cpp:tools/server/README.md, server-models.cpp and server-context.cpp. All but the states sleeping
and downloading was run against a real server in both modes. `LlamaChat` is for what has such a server behind it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from llm_bridge.chat import ChatRequest, Event, Prompting
from llm_bridge.errors import LoadFailed, NotSupported, RequestRefused, ServerError, TimedOut, UnknownModel
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.loading import loading, until
from llm_bridge.providers.openai import ChunkDecoder, OpenAICompatible
from llm_bridge.providers.reading import entries, flag, record, text_of, texts, whole
from llm_bridge.transport import Transport

__all__ = ["LlamaChat", "LlamaCpp", "LlamaDecoder"]

_HELD = (State.LOADED, State.LOADING, State.SLEEPING)
_COMING = (State.LOADING, State.DOWNLOADING)
_STATES = {
    "loaded": State.LOADED,
    "loading": State.LOADING,
    "sleeping": State.SLEEPING,
    "unloaded": State.UNLOADED,
    "downloaded": State.UNLOADED,
    "downloading": State.DOWNLOADING,
}
_NOT_FOR_CHAT = frozenset({"--embedding", "--embeddings", "--rerank", "--reranking"})


class LlamaDecoder(ChunkDecoder):
    """Tells of `prompt_progress`, which a chunk has while the prompt is read."""

    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        events = super().chunk(chunk)
        if progress := record(chunk.get("prompt_progress")):
            return [Prompting(whole(progress, "processed"), whole(progress, "total")), *events]
        return events


class LlamaChat(OpenAICompatible):
    """What `/chat/completions` of llama.cpp has beyond the OpenAI protocol."""

    def special(self, request: ChatRequest) -> dict[str, Any]:
        fields: dict[str, Any] = {"return_progress": True}
        if request.think is not None:
            fields["chat_template_kwargs"] = {"enable_thinking": request.think}
        return fields

    def decoder(self, request: ChatRequest) -> ChunkDecoder:
        return LlamaDecoder(self.transport.name)


class LlamaCpp(LlamaChat):
    """It loads and unloads when it is a router; otherwise it keeps the one model that it was started with."""

    kind: ClassVar[str] = "llama-cpp"
    title: ClassVar[str] = "llama.cpp"
    ports: ClassVar[tuple[int, ...]] = (8080,)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._orders: dict[str, asyncio.Task[None]] = {}

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        props = record(await transport.get("/props"))
        # KoboldCpp has these settings too, but is not built of this.
        return bool(text_of(props, "build_info")) and "default_generation_settings" in props

    async def learn(self) -> None:
        props = record(await self.transport.get("/props"))
        self.loads = self.unloads = text_of(props, "role") == "router"

    async def models(self) -> list[Model]:
        return [await self._described(model) for model in await super().models()]

    def model(self, entry: Mapping[str, Any]) -> Model:
        meta, parameters = record(entry.get("meta")), whole(record(entry.get("meta")), "n_params")
        return Model(
            text_of(entry, "id"),
            _state(entry),
            size=whole(meta, "size"),
            context=whole(meta, "n_ctx"),
            max_context=whole(meta, "n_ctx_train"),
            vision=_sees(entry),
            chats=_NOT_FOR_CHAT.isdisjoint(map(str, record(entry.get("status")).get("args") or ())),
            parameters=None if parameters is None else _in_short(parameters),
            quantization=text_of(meta, "ftype") or None,
            aliases=tuple(texts(entry, "aliases") or ()),
        )

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        if not self.loads:
            hint = "Start it as a router (--models-dir) to load others."
            raise NotSupported(f"{self.transport.name} keeps the model that it was started with.", hint=hint)
        order = self._orders[model] = asyncio.create_task(self._order("load", model))
        order.add_done_callback(partial(self._answered, model))
        await asyncio.shield(order)
        await until(lambda: self._is_none_of(model, _COMING), self.transport.timeouts.load)
        entry = await self._entry(model)
        if (state := _state(entry)) in _COMING:
            raise TimedOut(f"{self.transport.name} did not load {model} in time.", hint="Is it large?", stage="load")
        if state not in _HELD:
            code = whole(record(entry.get("status")), "exit_code")
            words = "it was unloaded again" if code is None else f"its process ended with exit code {code}"
            raise LoadFailed(f"{self.transport.name} could not load {model}: {words}.", hint="Its log says why.")

    async def unload(self, model: str) -> None:
        if not self.unloads:
            hint = "Stop it to free its memory."
            raise NotSupported(f"{self.transport.name} keeps the model that it was started with.", hint=hint)
        if (order := self._orders.get(model)) is not None:
            # Nothing shows yet, and it will be loaded, also when nobody waits for that any more.
            await asyncio.wait([order])
        # Told to unload what is being downloaded, it gives the download up.
        if await self._is_none_of(model, _HELD):
            return
        await self._order("unload", model)
        if not await until(lambda: self._is_none_of(model, _HELD), self.transport.timeouts.load):
            name = self.transport.name
            raise TimedOut(f"{name} did not unload {model} in time.", hint="Look at its log.", stage="load")

    async def count(self, request: ChatRequest) -> int | None:
        call = self.call(request)
        try:
            # Counting must not load a model, and so perhaps throw out another.
            told = await self.transport.post(f"{call.path}/input_tokens?autoload=false", call.body)
        except (RequestRefused, UnknownModel):
            return None
        return whole(record(told), "input_tokens")

    def _answered(self, model: str, order: asyncio.Task[None]) -> None:
        if self._orders.get(model) is order:
            del self._orders[model]
        if not order.cancelled():
            # Its failure is of no interest to whoever gave the load up.
            order.exception()

    async def _described(self, model: Model) -> Model:
        """With what only a model in memory tells."""
        if model.state is not State.LOADED:
            return model
        try:
            props = await self._props(model.id)
        except (RequestRefused, UnknownModel):
            # It went away since.
            return model
        except ServerError as failure:
            # It is going away: the router broke off what it passed on.
            if type(failure) is not ServerError or not self.loads:
                raise
            return model
        vision, caps = flag(record(props.get("modalities")), "vision"), record(props.get("chat_template_caps"))
        return replace(
            model,
            state=State.SLEEPING if flag(props, "is_sleeping") else model.state,
            vision=model.vision if vision is None else vision,
            tools=flag(caps, "supports_tools"),
            reasoning=_reasons(text_of(props, "chat_template"), caps),
        )

    async def _props(self, model: str) -> dict[str, Any]:
        one_of_many = f"?model={quote(model, safe='')}&autoload=false" if self.loads else ""
        return record(await self.transport.get(f"/props{one_of_many}"))

    async def _entry(self, model: str) -> dict[str, Any]:
        found = entries(await self.transport.get(f"{self.transport.endpoint.version}/models"), "data")
        for entry in found:
            if text_of(entry, "id") == model or model in (entry.get("aliases") or ()):
                return entry
        raise self._unknown(model)

    def _unknown(self, model: str) -> UnknownModel:
        return UnknownModel(f"{self.transport.name} has no model {model[:128]!r}.", hint="List its models.")

    async def _is_none_of(self, model: str, states: tuple[State, ...]) -> bool:
        return _state(await self._entry(model)) not in states

    async def _order(self, what: str, model: str) -> None:
        """Tell it to load or unload; that it is so already is no failure. Raises UnknownModel, LoadFailed."""
        try:
            with loading():
                await self.transport.post(f"/models/{what}", {"model": model})
        except UnknownModel:
            # Its own words are of files.
            raise self._unknown(model) from None
        except RequestRefused:
            if await self._is_none_of(model, _HELD) is (what == "load"):
                raise


def _state(entry: Mapping[str, Any]) -> State | None:
    """That of a router's model; a server of one model has it loaded.

    The router counts a load that was broken off as failed, too.
    """
    status = record(entry.get("status"))
    if not status:
        return State.LOADED
    return State.FAILED if flag(status, "failed") else _STATES.get(text_of(status, "value"))


def _sees(entry: Mapping[str, Any]) -> bool | None:
    takes = record(entry.get("architecture")).get("input_modalities")
    return "image" in takes if isinstance(takes, list) else None


def _reasons(template: str, caps: Mapping[str, Any]) -> bool | None:
    """No server says so; a template that knows of thinking does."""
    if not template:
        return None
    told = flag(caps, "supports_preserve_reasoning") or flag(caps, "supports_reasoning_effort")
    return bool(told) or "enable_thinking" in template or "<think>" in template


def _in_short(parameters: int) -> str:
    """As people write it: 7.2B, 137M."""
    for size, unit in ((10**9, "B"), (10**6, "M")):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return str(parameters)
