"""Ollama: its native `/api/chat`, since its `/v1` knows no durations, no context length and no keep-alive.

Models are loaded by an empty chat and unloaded by one with `keep_alive` 0. Ollama cuts messages that are too long
without a word; `truncate: false` makes it an error, from 0.12.6 on. `num_ctx` is sent for what `load` loaded with a
context of its own, in every chat, since any other value would load the model anew; the rest gets the server's default,
which depends on the memory of the card and stands in `/api/ps` once the model is loaded.

From `ollama/ollama:docs/api.md`, `api/types.go`, `server/routes.go`, `server/sched.go`. Not run against the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest, Sampling
from llm_bridge.errors import BridgeError, NotSupported, TimedOut, UnknownModel
from llm_bridge.providers.interface import Call, Dialect, Model, State
from llm_bridge.providers.loading import loading, until
from llm_bridge.providers.ollama_wire import LineDecoder, to_ollama
from llm_bridge.providers.reading import entries, record, text_of, texts, whole
from llm_bridge.transport import Transport

__all__ = ["Ollama"]

_SHOWN_AT_ONCE = 4
_SHOW_SECONDS = 1.0
"""How long a list waits for what only `/api/show` tells; the next list has the rest."""

_REGISTRY = "registry.ollama.ai/"
_LIBRARY = "library/"


class Ollama(Dialect):
    """Names are those of the list: `llama3.2` is `llama3.2:latest`. It cannot be made to call a tool."""

    kind: ClassVar[str] = "ollama"
    title: ClassVar[str] = "Ollama"
    ports: ClassVar[tuple[int, ...]] = (11434,)
    loads = True
    unloads = True

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._contexts: dict[str, int] = {}
        self._shown: dict[str, dict[str, Any]] = {}

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        return b"Ollama is running" in await transport.text("GET", "/")

    def listed(self, model: str) -> str:
        """The name that its list has for a model."""
        name = model.removeprefix(_REGISTRY).removeprefix(_LIBRARY)
        return name if ":" in name.rpartition("/")[2] else f"{name}:latest"

    async def models(self) -> list[Model]:
        listed = [entry for entry in entries(await self.transport.get("/api/tags"), "models") if text_of(entry, "name")]
        running = await self._running()
        await self._show(listed)
        now = datetime.now(UTC)
        return [
            _model(entry, running.get(self._key(text_of(entry, "name"))), self._shown.get(_version(entry), {}), now)
            for entry in listed
        ]

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        """One in the cloud is always there."""
        if _is_in_cloud(model):
            return
        with loading():
            await self._empty_chat(model, _kept(context, ttl), self.transport.timeouts.load)
        self._contexts.pop(self._key(model), None)
        if context is not None:
            self._contexts[self._key(model)] = context

    async def unload(self, model: str) -> None:
        if _is_in_cloud(model):
            return
        key = self._key(model)
        self._contexts.pop(key, None)
        with suppress(UnknownModel):
            await self._empty_chat(model, {"keep_alive": 0})

        async def gone() -> bool:
            return key not in await self._running()

        # It ends what it is answering first.
        if not await until(gone, self.transport.timeouts.load):
            raise TimedOut(f"{self.transport.name} still keeps {model}.", hint="Is it answering?", stage="load")

    def call(self, request: ChatRequest) -> Call:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": to_ollama(request.messages),
            "stream": True,
            "truncate": False,
        }
        if tools := self._tools(request):
            body["tools"] = tools
        if request.schema is not None:
            body["format"] = dict(request.schema)
        if request.think is not None:
            body["think"] = request.think
        body |= _kept(self._contexts.get(self._key(request.model)), request.ttl)
        options = record(body.get("options")) | _options(request.sampling) | record(request.extra.get("options"))
        body |= dict(request.extra)
        if options:
            body["options"] = options
        return Call("/api/chat", body)

    def decoder(self, request: ChatRequest) -> LineDecoder:
        return LineDecoder(self.transport.name)

    async def _empty_chat(self, model: str, kept: Mapping[str, Any], seconds: float | None = None) -> None:
        """Loads or unloads, and says nothing."""
        empty: dict[str, Any] = {"model": model, "messages": [], "stream": False}
        await self.transport.post("/api/chat", empty | dict(kept), seconds=seconds)

    def _key(self, model: str) -> str:
        """The same for a model however its name is written."""
        return self.listed(model).casefold()

    def _tools(self, request: ChatRequest) -> list[dict[str, Any]]:
        if request.tool_choice not in (None, "auto", "none"):
            raise NotSupported(
                f"{self.transport.name} cannot be made to call a tool.", hint="Leave tool_choice at auto."
            )
        tools = () if request.tool_choice == "none" else request.tools
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in tools
        ]

    async def _running(self) -> dict[str, dict[str, Any]]:
        """What is loaded, by name."""
        told = entries(await self.transport.get("/api/ps"), "models")
        return {self._key(text_of(entry, "name")): entry for entry in told}

    async def _show(self, listed: Iterable[Mapping[str, Any]]) -> None:
        """Ask for what older servers do not say in their list, of few models at once, and of each once."""
        listed = list(listed)
        versions = {_version(entry) for entry in listed}
        self._shown = {version: shown for version, shown in self._shown.items() if version in versions}
        free = asyncio.Semaphore(_SHOWN_AT_ONCE)

        async def show(entry: Mapping[str, Any]) -> None:
            async with free:
                with suppress(BridgeError):
                    told = await self.transport.post("/api/show", {"model": text_of(entry, "name")})
                    self._shown[_version(entry)] = record(told)

        with suppress(TimeoutError):
            async with asyncio.timeout(_SHOW_SECONDS), asyncio.TaskGroup() as group:
                for entry in listed:
                    if "capabilities" not in entry and _version(entry) not in self._shown:
                        group.create_task(show(entry))


def _is_in_cloud(model: str) -> bool:
    tag = model.rpartition("/")[2].rpartition(":")[2]
    return ":" in model and (tag == "cloud" or tag.endswith("-cloud"))


def _kept(context: int | None, ttl: float | None) -> dict[str, Any]:
    """How a model is loaded, and how long it stays."""
    kept: dict[str, Any] = {} if context is None else {"options": {"num_ctx": context}}
    return kept if ttl is None else kept | {"keep_alive": ttl}


def _version(entry: Mapping[str, Any]) -> str:
    return f"{text_of(entry, 'name')} {text_of(entry, 'digest')}"


def _model(
    entry: Mapping[str, Any], running: Mapping[str, Any] | None, shown: Mapping[str, Any], now: datetime
) -> Model:
    details = record(entry.get("details"))
    can = texts(entry, "capabilities") or texts(shown, "capabilities")
    # A model in the cloud is never loaded here.
    state = None if text_of(entry, "remote_host") else State.UNLOADED if running is None else State.LOADED
    return Model(
        text_of(entry, "name"),
        state,
        size=whole(entry, "size"),
        context=whole(running, "context_length") if running else None,
        max_context=whole(details, "context_length") or _trained(record(shown.get("model_info"))),
        vision=None if can is None else "vision" in can,
        tools=None if can is None else "tools" in can,
        reasoning=None if can is None else "thinking" in can,
        chats="completion" in can if can else "bert" not in text_of(details, "family"),
        expires=_seconds_until(text_of(running, "expires_at"), now) if running else None,
        parameters=text_of(details, "parameter_size") or None,
        quantization=text_of(details, "quantization_level") or None,
        aliases=_aliases(text_of(entry, "name")),
    )


def _aliases(name: str) -> tuple[str, ...]:
    """What may be left out of a name, and what may stand before it."""
    before = ("", _REGISTRY) if "/" in name else ("", _LIBRARY, _REGISTRY + _LIBRARY)
    names = (name, name.removesuffix(":latest"))
    return tuple(sorted({start + each for start in before for each in names} - {name}))


def _trained(info: Mapping[str, Any]) -> int | None:
    return whole(info, f"{text_of(info, 'general.architecture')}.context_length")


def _seconds_until(told: str, now: datetime) -> float | None:
    """None for a time that cannot be read, and for Go's zero time."""
    try:
        when = datetime.fromisoformat(told)
    except ValueError:
        return None
    if when.tzinfo is None or when.year <= 1:
        return None
    return max(0.0, (when - now).total_seconds())


def _options(sampling: Sampling) -> dict[str, Any]:
    """What was set, under Ollama's names, which are ours but for one."""
    found = {name: getattr(sampling, name) for name in Sampling.__dataclass_fields__}
    found["stop"], found["num_predict"] = list(sampling.stop) or None, found.pop("max_tokens")
    return {name: value for name, value in found.items() if value is not None}
