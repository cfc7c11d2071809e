"""llama-swap, which starts and stops the servers behind it as their models are asked for.

From mostlygeek/llama-swap:internal/server/server.go, internal/server/api.go and internal/router/loading.go. Not run
against a real server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from llm_bridge.chat import ChatRequest, Done, Event, Loading
from llm_bridge.errors import BridgeError, LoadFailed, ServerUnavailable, TimedOut
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.llama_cpp import LlamaChat, LlamaDecoder
from llm_bridge.providers.loading import loading
from llm_bridge.providers.openai import ChunkDecoder
from llm_bridge.providers.reading import entries, flag, number, record, text_of, texts, whole
from llm_bridge.transport import Transport

__all__ = ["LlamaSwap", "SwapDecoder"]

_RULE = "━"
"""What it says while a model loads begins with a line of these."""

_STATES = {
    "starting": State.LOADING,
    "ready": State.LOADED,
    # Its memory is not free yet.
    "stopping": State.LOADED,
    "stopped": State.UNLOADED,
    "shutdown": State.UNLOADED,
}


class SwapDecoder(LlamaDecoder):
    """Takes what llama-swap says while it loads (`sendLoadingState`) for what it is, not for the model's thoughts."""

    def __init__(self, server: str, model: str) -> None:
        super().__init__(server)
        self._asked = model
        self._loading = False
        self._fresh = True

    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        said, fresh = _notice(chunk), self._fresh
        self._fresh = False
        self._loading = said is not None and (self._loading or (fresh and said.startswith(_RULE)))
        if self._loading:
            return [Loading(self._asked)] if fresh else []
        return super().chunk(chunk)

    def end(self) -> Done:
        if self._loading:
            # What went wrong stands behind the events, in a form that is none.
            raise LoadFailed(f"{self._server} could not load {self._asked}.", hint="Its log says why.")
        return super().end()


class LlamaSwap(LlamaChat):
    """What it says of a model is what its configuration says; the server behind it may know more."""

    kind: ClassVar[str] = "llama-swap"
    title: ClassVar[str] = "llama-swap"
    ports: ClassVar[tuple[int, ...]] = (8080,)
    loads = True
    unloads = True

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        return isinstance(record(await transport.get("/running")).get("running"), list)

    async def models(self) -> list[Model]:
        running = await self._running()
        told = await self.transport.get(f"{self.transport.endpoint.version}/models")
        # Where aliases are listed, too, they stand beside the models that they are names of.
        own = [entry for entry in entries(told, "data") if text_of(_meta(entry), "type") != "alias"]
        return [_now(model, running.get(model.id)) for model in map(self.model, own) if model.id]

    def model(self, entry: Mapping[str, Any]) -> Model:
        can, meta = record(entry.get("capabilities")), _meta(entry)
        loaded = text_of(record(entry.get("status")), "value") == "loaded"
        # What runs elsewhere, or stands for others, is never in memory under that name.
        own = text_of(meta, "type") in ("", "model")
        return Model(
            text_of(entry, "id"),
            (State.LOADED if loaded else State.UNLOADED) if own else None,
            max_context=whole(entry, "context_length"),
            vision=flag(can, "vision"),
            tools=flag(can, "function_calling"),
            chats=not flag(can, "reranker"),
            aliases=tuple(texts(meta, "aliases") or ()),
        )

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        seconds = self.transport.timeouts.load
        try:
            with loading():
                # Any page of the server behind makes it start that server.
                await self.transport.text("GET", f"/upstream/{quote(model, safe='')}/health", seconds=seconds)
        except TimedOut:
            raise
        except BridgeError as failure:
            # A server may be there without having such a page.
            if text_of((await self._running()).get(model, {}), "state") == "ready":
                return
            if isinstance(failure, ServerUnavailable):
                raise LoadFailed(failure.message, hint="Its log says why.") from None
            raise

    async def unload(self, model: str) -> None:
        # It answers when the server behind has stopped.
        path = f"/api/models/unload/{quote(model, safe='')}"
        await self.transport.text("POST", path, seconds=self.transport.timeouts.load)

    def decoder(self, request: ChatRequest) -> ChunkDecoder:
        return SwapDecoder(self.transport.name, request.model)

    async def _running(self) -> dict[str, dict[str, Any]]:
        told = await self.transport.get("/running")
        return {text_of(entry, "model"): entry for entry in entries(told, "running")}


def _meta(entry: Mapping[str, Any]) -> dict[str, Any]:
    return record(record(entry.get("meta")).get("llamaswap"))


def _notice(chunk: Mapping[str, Any]) -> str | None:
    """The text of a chunk of its own; those of the servers behind it have an id or a model, too."""
    choices = entries(chunk, "choices")
    delta = record(choices[0].get("delta")) if len(choices) == 1 else {}
    own = set(chunk) == {"choices"} and set(delta) == {"reasoning_content"}
    return text_of(delta, "reasoning_content") if own else None


def _now(model: Model, running: Mapping[str, Any] | None) -> Model:
    if running is None:
        return model
    # 0 is for ever.
    return replace(model, state=_STATES.get(text_of(running, "state")), expires=number(running, "ttl") or None)
