"""The LLM servers that the nodes ask, all through one queue: who asks how many things at once, each server gets one.

Owns what names mean: of servers, of models, of patterns for models. Everything here runs on the bridge's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from copy import copy
from fnmatch import fnmatchcase

from comfy_nodes.setup import set_up_servers
from comfy_nodes.values import Provider
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, BridgeError, ServerUnavailable, UnknownModel
from llm_bridge.providers import Model
from llm_bridge.queue import Queue
from llm_bridge.router import Choice, Router
from llm_bridge.scan import scan

__all__ = ["Listed", "Servers", "close_servers", "the_servers"]

_ABILITIES = ("vision", "tools", "reasoning")
_SCAN_SECONDS = 30.0
_LISTED_SECONDS = 2.0
_PATIENCE_SECONDS = 20.0
"""So long a server that answered before may be away; who sits in front of a graph waits no longer."""

Listed = Mapping[str, Sequence[Model] | BridgeError]
"""The models of each server by its name; of one that cannot be asked, why."""


class Servers:
    """Those that are set up; without any, those that run on this machine, which are looked for now and then."""

    def __init__(self, queue: Queue, stack: AsyncExitStack, *, scanning: bool) -> None:
        self._queue, self._scanning = queue, scanning
        # In ComfyUI never closed: the thread ends with the process, and its sockets with it.
        self._stack = stack
        self._urls = set[str]()
        self._broken = dict[str, BridgeError]()
        self._scanned = float("-inf")
        self._scan: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls) -> Servers:
        """For as long as the process lives. Raises: BadInput when the settings cannot be used."""
        endpoints, stack = set_up_servers(), AsyncExitStack()
        servers = cls(
            await stack.enter_async_context(Queue.open((), patience=_PATIENCE_SECONDS)), stack, scanning=not endpoints
        )
        for endpoint in endpoints:
            await servers._add(endpoint)
        return servers

    async def close(self) -> None:
        """Stop looking for servers, and whatever they are asked just now."""
        if self._scan is not None:
            self._scan.cancel()
            await asyncio.wait({self._scan})
        await self._stack.aclose()

    async def _add(self, endpoint: Endpoint) -> None:
        try:
            await self._queue.add(endpoint)
            self._urls.add(endpoint.root)
        except BridgeError as failure:
            self._broken[endpoint.name] = failure

    async def ask(
        self,
        provider: Provider,
        request: ChatRequest,
        on_event: Callable[[Event], object] | None = None,
        on_away: Callable[[str], object] | None = None,
        *,
        within: str | None = None,
    ) -> Reply:
        """The answer of the model of this name, which may be `auto` (`llm_bridge.router`), in its turn.

        ``within`` is as for `router`. ``on_away`` is told the server's name when it does not answer just now, and is
        waited for.

        Raises: BridgeError, as `Router.ask`.
        """

        def chosen(choice: Choice) -> None:
            if on_away is not None and any(
                view.name == choice.server and view.failure is not None for view in self._queue.snapshot().servers
            ):
                on_away(choice.server)

        return await (await self.router(provider, within)).ask(request, on_event, on_choice=chosen)

    async def router(self, provider: Provider, within: str | None = None) -> Router:
        """What chooses among the provider's servers; ``within`` is the prompt whose graph asks (`Running.prompt`).

        Raises: ServerUnavailable when there is no server; BadInput for a provider that is not there.
        """
        await self._find(provider, _SCAN_SECONDS)
        if not self._broken and not self._queue_names():
            raise _none()
        return Router(self._queue, server=self._named(provider), within=within)

    async def listed(self, provider: Provider, *, fresh: float = _LISTED_SECONDS) -> Listed:
        """What the servers have, at most ``fresh`` seconds old. Raises: BadInput as `router`."""
        await self._find(provider, _LISTED_SECONDS)
        name = self._named(provider)
        told: Listed = {**self._broken, **await self._queue.models(fresh=fresh)}
        return {server: models for server, models in told.items() if name in (None, server)}

    async def resolve(self, provider: Provider, patterns: Iterable[str]) -> tuple[str, ...]:
        """The models that are meant, each once as `server/model`: a name, a pattern such as `qwen*`, `*`, or `auto`.

        `*:vision` and `qwen*:tools` are those that can: as for `auto`, those not known to only when none is known to.

        Raises: UnknownModel for what no server has; ServerUnavailable when there is no server; BadInput as `router`.
        """
        listed = await self.listed(provider)
        if not listed:
            raise _none()
        there = {
            f"{server}/{model.id}": model
            for server, models in listed.items()
            if not isinstance(models, BridgeError)
            for model in models
        }
        found = dict[str, None]()
        for pattern in patterns:
            if any(sign in pattern for sign in "*?["):
                found |= dict.fromkeys(self._matching(pattern, there, listed))
            else:
                choice = await (await self.router(provider)).choose(ChatRequest(pattern, ()))
                found[choice.candidate.name] = None
        return tuple(found)

    def _matching(self, pattern: str, there: Mapping[str, Model], listed: Listed) -> list[str]:
        """Those that chat. Case does not count: people write model names as they like."""
        sought, _, ability = pattern.casefold().rpartition(":")
        if ability not in _ABILITIES:
            sought, ability = pattern.casefold(), "chats"
        fitting = [
            (name, getattr(model, ability))
            for name, model in there.items()
            if model.chats and any(fnmatchcase(each.casefold(), sought) for each in (name, model.id, *model.aliases))
        ]
        found = [name for name, able in fitting if able] or [name for name, able in fitting if able is None]
        if not found:
            away = " ".join(failure.message for failure in listed.values() if isinstance(failure, BridgeError))
            names = ", ".join([name for name, model in there.items() if model.chats][:10]) or "none"
            raise UnknownModel(f"No model fits {pattern[:128]!r}.", hint=f"There are: {names}. {away}".strip())
        return found

    async def unload(self, provider: Provider, model: str | None = None) -> list[str]:
        """As `Queue.unload`; ``model`` may be `server/model`. Raises: BadInput as `router`."""
        await self._find(provider, _SCAN_SECONDS)
        server = self._named(provider)
        named, _, rest = (model or "").partition("/")
        if rest and named in self._queue_names():
            server, model = named, rest
        return await self._queue.unload(model, server=server)

    async def let_go(self, name: str) -> list[str]:
        """Unload the model `server/model` after its last answer: as long as more requests for it wait, it stays."""
        server, _, model = name.partition("/")
        views = self._queue.snapshot().servers
        if any(view.waiting[model] for view in views if view.name == server):
            return []
        return await self._queue.unload(model, server=server)

    def _named(self, provider: Provider) -> str | None:
        if not provider.name:
            return None
        if (failure := self._broken.get(provider.name)) is not None:
            # Raised again and again, one and the same would grow by where it went each time.
            raise copy(failure)
        if provider.name not in self._queue_names():
            known = ", ".join(self._queue_names()) or "none"
            raise BadInput(
                f"There is no LLM server called {provider.name[:64]!r}.",
                hint=f"There are: {known}. Start it, or name it in the settings.",
            )
        return provider.name

    def _queue_names(self) -> list[str]:
        return [view.name for view in self._queue.snapshot().servers]

    async def _find(self, provider: Provider, seconds: float) -> None:
        """Look for servers that came, unless that was done just now; only who has none waits for it."""
        if not self._scanning:
            return
        names = self._queue_names()
        missing = not names or bool(provider.name and provider.name not in names)
        due = time.monotonic() - self._scanned > (_LISTED_SECONDS if missing else seconds)
        if due and (self._scan is None or self._scan.done()):
            self._scan = asyncio.create_task(self._look_around())
        if missing and self._scan is not None:
            await asyncio.shield(self._scan)

    async def _look_around(self) -> None:
        for found in await scan():
            if found.endpoint.root not in self._urls:
                await self._add(found.endpoint)
        self._scanned = time.monotonic()


def _none() -> ServerUnavailable:
    return ServerUnavailable(
        "No LLM server was found on this machine.",
        hint="Start LM Studio, Ollama or another one, or name it in WORKBENCH_LLM_URL.",
    )


_OPENING: dict[asyncio.AbstractEventLoop, asyncio.Task[Servers]] = {}


async def the_servers() -> Servers:
    """The servers of this process, opened when they are first needed. Raises: BadInput as `Servers.open`."""
    loop = asyncio.get_running_loop()
    opening = _OPENING.get(loop)
    if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
        opening = _OPENING[loop] = asyncio.create_task(Servers.open())
    return await asyncio.shield(opening)


async def close_servers() -> None:
    """Close them, for a process that goes on without; who needs them then opens them anew, from the settings."""
    opening = _OPENING.pop(asyncio.get_running_loop(), None)
    if opening is not None:
        # Settings that cannot be used were told to who asked.
        with suppress(BridgeError):
            await (await opening).close()
