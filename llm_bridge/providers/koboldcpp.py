"""KoboldCpp: one model at a time, `/v1/chat/completions` for chats, its own `/api` for the rest.

With `--admin` and `--admindir` it can be told to restart with another of the files there; its password must then be the
key. The name of a model in a request counts for nothing: what is loaded answers. It cuts a prompt that is too long, at
its beginning and without a word, so count first. It ends with "length" also at a stop text. It is not told whether to
think, and of usage and timings it sends nothing in a stream. It notices that nobody listens when it writes, which is
not before the first token.

From `LostRuins/koboldcpp:koboldcpp.py` (1.102: do_GET, do_POST, transform_genparams, handle_sse_stream). Its code of
October 2024 was run with a stand-in for the engine: listing, chats, counting, leaving. Not run: restarts, tools and
pictures. Its router mode (`--routermode`, later versions) is not made use of.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest, Event
from llm_bridge.errors import BridgeError, LoadFailed, NotSupported, TimedOut, UnknownModel
from llm_bridge.messages import Message
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.loading import until
from llm_bridge.providers.openai import ChunkDecoder, OpenAICompatible
from llm_bridge.providers.reading import flag, number, record, text_of, texts, whole
from llm_bridge.transport import Transport

__all__ = ["KoboldCpp"]

_NOTHING = "inactive"
_UNLOAD = "unload_model"
_ORDERS = (_UNLOAD, "initial_model")
_FRAMES = {"system": "\n### Instruction:\n", "user": "\n### Instruction:\n", "assistant": "\n### Response:\n"}


class KoboldCpp(OpenAICompatible):
    """Models are the one that is loaded, and the files that it can be restarted with."""

    kind: ClassVar[str] = "koboldcpp"
    title: ClassVar[str] = "KoboldCpp"
    ports: ClassVar[tuple[int, ...]] = (5001,)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._started: tuple[str, str] | None = None
        """The file that it was last restarted with by us, and the name that the model got by that."""

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        return text_of(record(await transport.get("/api/extra/version")), "result") == "KoboldCpp"

    async def learn(self) -> None:
        self.loads = self.unloads = bool(await self._files())

    async def models(self) -> list[Model]:
        files, name = await self._files(), await self._name()
        can = record(await self.transport.get("/api/extra/version"))
        found = [Model(file, State.UNLOADED) for file in files]
        if name == _NOTHING:
            return found
        context = whole(record(await self.transport.get("/api/extra/true_max_context_length")), "value")
        source = next((file for file in files if self._made(file, name)), None)
        loaded = Model(source or name, State.LOADED, context=context, vision=flag(can, "vision"))
        if source is None:
            return [loaded, *found]
        return [loaded if model.id == source else model for model in found]

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        """``context`` and ``ttl`` cannot be told. Restarts the server, so that other requests are broken off."""
        models = await self.models()
        if any(found.id == model and found.state is State.LOADED for found in models):
            return
        if not self.loads:
            await super().load(model, context=context, ttl=ttl)
        if all(found.id != model for found in models):
            raise UnknownModel(f"{self.transport.name} has no file {model[:128]!r}.", hint="Put it into its admindir.")
        name = await self._restarted(model)
        if name == _NOTHING or (model.endswith(".gguf") and name != _named(model)):
            raise LoadFailed(f"{self.transport.name} could not load {model}.", hint="Its log says why.")
        self._started = (model, name)

    async def unload(self, model: str) -> None:
        if not self.unloads:
            await super().unload(model)
        if any(found.id == model and found.state is State.LOADED for found in await self.models()):
            await self._restarted(_UNLOAD)

    def decoder(self, request: ChatRequest) -> ChunkDecoder:
        return _Decoder(self.transport.name)

    async def count(self, request: ChatRequest) -> int | None:
        """Tokens of the messages in the frame that it has for models without one of their own; None with pictures."""
        if any(message.images for message in request.messages):
            return None
        prompt = "".join(_framed(message) for message in request.messages) + _FRAMES["assistant"]
        told = record(await self.transport.post("/api/extra/tokencount", {"prompt": prompt}))
        return whole(told, "value")

    async def _files(self) -> list[str]:
        """What it can be restarted with; nothing when it cannot be told to."""
        try:
            told = texts({"files": await self.transport.get("/api/admin/list_options")}, "files")
        except BridgeError as failure:
            if failure.temporary or isinstance(failure, TimedOut):
                raise
            # Older than 1.84.
            return []
        return [file for file in told or () if file not in _ORDERS]

    async def _name(self) -> str:
        return text_of(record(await self.transport.get("/api/v1/model")), "result") or _NOTHING

    def _made(self, file: str, name: str) -> bool:
        return self._started == (file, name) or (file.endswith(".gguf") and _named(file) == name)

    async def _restarted(self, file: str) -> str:
        """The name of the model once it runs again, "inactive" for none."""
        _, latest = await self._began()
        told = record(await self.transport.post("/api/admin/reload_config", {"filename": file}))
        if told.get("success") is not True:
            raise NotSupported(f"{self.transport.name} does not restart.", hint="Is its admin password the key?")
        if not await until(lambda: self._began_after(latest), self.transport.timeouts.load):
            raise TimedOut(f"{self.transport.name} did not come back in time.", hint="Look at its log.", stage="load")
        return await self._name()

    async def _began_after(self, moment: float) -> bool:
        """It answers as before for a while, then not at all, then as another process."""
        try:
            earliest, _ = await self._began()
        except BridgeError as failure:
            if failure.temporary or isinstance(failure, TimedOut):
                return False
            raise
        return earliest > moment

    async def _began(self) -> tuple[float, float]:
        """Between which moments its process began."""
        asked = time.monotonic()
        uptime = number(record(await self.transport.get("/api/extra/perf")), "uptime") or 0.0
        return asked - uptime, time.monotonic() - uptime


class _Decoder(ChunkDecoder):
    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        if chunk.get("model") == _NOTHING:
            raise UnknownModel(f"{self._server} has no model loaded.", hint="Load one first.")
        return super().chunk(chunk)


def _named(file: str) -> str:
    """The name that a model gets by its file."""
    return "koboldcpp/" + re.sub(r"[^\w.-]", "", file.rpartition("/")[2].removesuffix(".gguf"))


def _framed(message: Message) -> str:
    return _FRAMES.get(message.role, "\n") + message.text
