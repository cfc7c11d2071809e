"""What one server holds in memory, and making it hold what is asked for next with as few loads as can be.

Owns the order: what must go is unloaded before the next is loaded, so that both need never fit at once. Used by the
queue, and by whoever has a queue of their own in front of a client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from llm_bridge.chat import Event, Loading
from llm_bridge.client import Client
from llm_bridge.providers import Model, State, named

__all__ = ["Loader"]

_TRUSTED_SECONDS = 10.0
"""So long after an answer or a look a model is taken for loaded without asking; others may use the server too."""

_THERE = (State.LOADED, State.SLEEPING)
_HELD = (*_THERE, State.LOADING)


class Loader:
    """The models of one client's server, as far as they are known without asking it again.

    Each may be named by an alias of its server's, too.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._preparing = asyncio.Lock()
        self._used: dict[str, float] = {}
        self._sure: dict[str, float] = {}
        self._loads = False
        self.models: Sequence[Model] = ()
        self.looked: float | None = None

    @property
    def held(self) -> list[str]:
        """The models that are in memory, the one that was used longest ago first."""
        return sorted(self._sure, key=lambda name: (self._used.get(name, 0.0), name))

    def listed(self, model: str) -> str:
        """The name that the server's list has for it; the same when it has none."""
        found = named(model, self.models)
        return model if found is None else found.id

    def is_elsewhere(self, model: str) -> bool:
        """Whether its requests are handed on to where it is, so that it needs no memory of this server."""
        found = named(model, self.models)
        return self._loads and found is not None and found.state is None

    def ready(self, model: str) -> bool:
        """Whether `prepare` has nothing to ask and nothing to do."""
        return time.monotonic() - self._sure.get(self.listed(model), float("-inf")) < _TRUSTED_SECONDS

    def used(self, model: str) -> None:
        """The server answers with this model, or did just now."""
        model = self.listed(model)
        if model not in self._sure:
            self._mark(model, State.LOADED)
        self._used[model] = self._sure[model] = time.monotonic()

    def forget(self) -> None:
        """What is in memory is not known any more: the server failed, or somebody else used it."""
        self._sure.clear()

    async def look(self) -> Sequence[Model]:
        """Ask the server what it has and holds. Raises BridgeError as `Client.models`."""
        self.models = await self._client.models()
        self._loads = (await self._client.dialect()).loads
        self.looked = now = time.monotonic()
        told = [model for model in self.models if model.state is not None]
        self._sure = {name: since for name, since in self._sure.items() if name not in {model.id for model in told}}
        self._sure |= {model.id: now for model in told if model.state in _THERE}
        names = {model.id for model in self.models}
        self._used = {name: since for name, since in self._used.items() if name in names}
        return self.models

    async def prepare(self, model: str, on_event: Callable[[Event], object]) -> float | None:
        """See that the model is loaded, and nothing beyond `Endpoint.max_loaded`; the seconds that its load took.

        None when it was there, or when the server loads it by itself with the next request. Nothing is asked of the
        server while the same model is used again and again.

        Raises:
            UnknownModel, LoadFailed, TimedOut: as `Client.find` and `Client.load`.
            BridgeError: the server cannot be asked.
        """
        if self.ready(model):
            self.used(model)
            return None
        async with self._preparing:
            if self.ready(model):
                return None
            try:
                seconds = await self._prepared(model, on_event)
            except BaseException:
                self.forget()
                raise
            self.used(model)
            return seconds

    async def _prepared(self, name: str, on_event: Callable[[Event], object]) -> float | None:
        dialect = await self._client.dialect()
        if not dialect.loads and not dialect.unloads:
            return None
        model = named(name, await self.look())
        if model is None:
            if not dialect.loads:
                # Some servers take more names than they list; one that must be told to load does not.
                return None
            model = await self._client.find(name)
        if model.state in _THERE or self.is_elsewhere(name):
            return None
        if dialect.unloads:
            await self._make_room(model.id)
        on_event(Loading(name))
        return await self._client.load(model.id) if dialect.loads else None

    async def _make_room(self, model: str) -> None:
        """Unload those that were used longest ago, until one more is within the limit. Those that embed stay."""
        most = self._client.endpoint.max_loaded
        if most is None:
            return
        held = [each.id for each in self.models if each.chats and each.state in _HELD and each.id != model]
        held.sort(key=lambda name: self._used.get(name, 0.0))
        for name in held[: max(0, len(held) + 1 - most)]:
            await self.unload(name)

    async def unload_all(self) -> None:
        """Let go of everything that the server holds, as far as it can be told to. Raises BridgeError."""
        self.forget()
        for name in await self._client.unload_all():
            self._mark(name, State.UNLOADED)

    async def unload(self, model: str) -> None:
        """Let go of one model, where the server can be told to. Raises BridgeError."""
        model = self.listed(model)
        self._sure.pop(model, None)
        if (await self._client.dialect()).unloads:
            await self._client.unload(model)
            self._mark(model, State.UNLOADED)

    def _mark(self, name: str, state: State) -> None:
        """It is so since the server was asked; of a server that does not tell, nothing is said."""
        self.models = [
            replace(model, state=state)
            if model.id == name and model.state is not None and (model.state in _THERE) != (state in _THERE)
            else model
            for model in self.models
        ]
