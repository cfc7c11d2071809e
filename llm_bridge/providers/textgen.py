"""text-generation-webui: one model at a time, `/v1/chat/completions` for chats, `/v1/internal` for the rest.

The name of a model in a request counts for nothing: what is loaded answers. Listing, loading and unloading want the
admin key where there is one. A load that fails may be answered with OK, and its model then passes for loaded, so that
the tokenizer is asked afterwards. It cuts a prompt that is too long without a word, so count first; passes over
pictures that its model cannot see, and `response_format`; sends no timings. Leaving the stream stops it.

From `oobabooga/text-generation-webui:modules/api/` (script.py, completions.py, models.py, typing.py) and
`modules/models.py`. Run against that code of May 2026 with llama.cpp behind it and without its pages; but not tool
calls, pictures, and its other loaders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest, Done, Event
from llm_bridge.errors import KeyRefused, LoadFailed, ServerError, UnknownModel
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.loading import loading
from llm_bridge.providers.openai import ChunkDecoder, OpenAICompatible
from llm_bridge.providers.reading import record, text_of, texts, whole
from llm_bridge.transport import Transport

__all__ = ["TextGen"]

_INTERNAL = "/v1/internal"
_NOTHING = "None"


class TextGen(OpenAICompatible):
    """``ttl`` cannot be told (its own is `--idle-timeout`); ``context`` is its `ctx_size`."""

    kind: ClassVar[str] = "textgen"
    title: ClassVar[str] = "text-generation-webui"
    ports: ClassVar[tuple[int, ...]] = (5000,)
    loads = True
    unloads = True
    sampling_names: ClassVar[Mapping[str, str]] = {"repeat_penalty": "repetition_penalty"}

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._failed = ""

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        return record(await transport.get(f"{_INTERNAL}/health")) == {"status": "ok"}

    async def models(self) -> list[Model]:
        loaded, names = await self._loaded(), await self._names()
        if names is None:
            names = [loaded] if loaded is not None else []
        return [Model(name, self._state(name, loaded)) for name in names]

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        """A ``context`` always loads anew, as it does not tell what it has."""
        if context is None and await self._loaded() == model and await self._answers():
            self._failed = ""
            return
        names = await self._names()
        if names is not None and model not in names:
            raise UnknownModel(f"{self.transport.name} has no model {model[:128]!r}.", hint="List its models.")
        body: dict[str, Any] = {"model_name": model}
        if context is not None:
            body["args"] = {"ctx_size": context}
        self._failed = model
        with loading():
            await self.transport.post(f"{_INTERNAL}/model/load", body, seconds=self.transport.timeouts.load)
        if not await self._answers():
            raise LoadFailed(f"{self.transport.name} could not load {model}.", hint="Its log says why.")
        self._failed = ""

    async def unload(self, model: str) -> None:
        if await self._loaded() == model:
            await self.transport.post(f"{_INTERNAL}/model/unload", {}, seconds=self.transport.timeouts.load)

    def special(self, request: ChatRequest) -> dict[str, Any]:
        return {} if request.think is None else {"enable_thinking": request.think}

    def decoder(self, request: ChatRequest) -> ChunkDecoder:
        return _Decoder(self.transport.name)

    async def count(self, request: ChatRequest) -> int | None:
        """By its own template and tokenizer; None with pictures, and while another model is loaded."""
        if any(message.images for message in request.messages) or await self._loaded() != request.model:
            return None
        body = {**self.call(request).body, "stream": False}
        prompt = text_of(record(await self.transport.post(f"{_INTERNAL}/chat-prompt", body)), "prompt")
        return whole(record(await self.transport.post(f"{_INTERNAL}/token-count", {"text": prompt})), "length")

    async def _loaded(self) -> str | None:
        name = text_of(record(await self.transport.get(f"{_INTERNAL}/model/info")), "model_name")
        return None if name in ("", _NOTHING) else name

    def _state(self, name: str, loaded: str | None) -> State:
        if name == self._failed:
            return State.FAILED
        return State.LOADED if name == loaded else State.UNLOADED

    async def _names(self) -> list[str] | None:
        """None without the admin key."""
        try:
            return texts(record(await self.transport.get(f"{_INTERNAL}/model/list")), "model_names") or []
        except KeyRefused:
            return None

    async def _answers(self) -> bool:
        """Whether there is a tokenizer, which there is only with a model."""
        try:
            await self.transport.post(f"{_INTERNAL}/token-count", {"text": "a"}, seconds=self.transport.timeouts.load)
        except ServerError as failure:
            if type(failure) is not ServerError:
                raise
            return False
        return True


class _Decoder(ChunkDecoder):
    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        if chunk.get("model") == _NOTHING:
            raise UnknownModel(f"{self._server} has no model loaded.", hint="Load one first.")
        return super().chunk(chunk)

    def end(self) -> Done:
        """Loaders that do not count the prompt leave it at 0."""
        done = super().end()
        return replace(done, usage=replace(done.usage, prompt=done.usage.prompt or None))
