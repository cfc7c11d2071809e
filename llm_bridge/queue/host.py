"""One server as the queue has it: what runs there, what it holds, whether it answers, and work beside requests.

Owns looking, probing, loading and unloading, each as a task of its own. It decides nothing: the queue says when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from llm_bridge.chat import Event
from llm_bridge.client import Client
from llm_bridge.errors import BridgeError, TimedOut
from llm_bridge.loading import Loader
from llm_bridge.queue.asked import Asked
from llm_bridge.queue.line import Kind, offer
from llm_bridge.scheduling import Server

__all__ = ["Away", "Host"]

_FIRST_PAUSE = 0.1
_MOST_PAUSE = 2.0
_MOST_PAUSE_REFUSED = 30.0
_GOODBYE_SECONDS = 5.0
_HANDED_ON = 64
"""Requests at a time for a server with a queue of its own: enough that it can order them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Away:
    """Why nothing starts on a server, since when, and before when it surely stays so: inf until a person mends it."""

    failure: BridgeError
    since: float
    until: float


class Host:
    """``changed`` is called when something may start now that could not before.

    ``unlisted`` is True of one that had no list of its models when it was asked: it may have any.
    """

    def __init__(self, client: Client, changed: Callable[[], None]) -> None:
        self.client = client
        self.loader = Loader(client)
        self.name = client.endpoint.name
        # One without a card has its own, whose name no person gives.
        self.card = client.endpoint.card or f"\0{self.name}"
        self.offers = offer((), self.name)
        self.unlisted = False
        self._queues = self._lets_go = False
        self.running: dict[Asked, None] = {}
        self.failure: BridgeError | None = None
        self._failed_at = 0.0
        self._looked_at = -inf
        self._changed = changed
        self._preparing: dict[str, asyncio.Task[float | None]] = {}
        self._told: dict[str, Event] = {}
        self._looking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._rest: Away | None = None
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unloads: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def loading(self) -> list[str]:
        return list(self._preparing)

    @property
    def slots(self) -> int:
        """How many requests run at once."""
        slots = self.client.endpoint.slots
        return max(slots, _HANDED_ON) if self._queues else slots

    @property
    def bounded(self) -> bool:
        """Whether models must make room for each other."""
        return self.client.endpoint.max_loaded is not None and not self._queues

    def server(self, now: float, nowhere: frozenset[str] = frozenset(), *, whole: bool = False) -> Server:
        """For the policy, as it is now; ``whole`` as it will be when it is at rest. ``nowhere`` is what no list has."""
        changing = self.bounded and bool(self._preparing)
        is_open = whole or (self.away(now) is None and not self._unloads and not changing)
        offers = self.offers | nowhere if self.unlisted else self.offers
        return Server(self.name, self.card, offers, self.slots, len(self.running), is_open)

    def takes(self, kind: Kind) -> bool:
        return kind.needs <= self.offers

    def keeps(self, model: str) -> bool:
        """Whether a request for it needs no other model to go."""
        if not self.bounded or self.loader.is_elsewhere(model):
            return True
        return self.client.endpoint.max_loaded != 1 and model in self.loader.held

    def runs(self, model: str) -> bool:
        return any(asked.kind.model == model for asked in self.running)

    @property
    def refuses(self) -> bool:
        """Whether what it fails with does not pass by itself: a wrong key, or it is no LLM server."""
        return self.failure is not None and not self.failure.temporary and not isinstance(self.failure, TimedOut)

    def away(self, now: float) -> Away | None:
        """Why nothing can start; None when something can."""
        if self.failure is not None:
            return Away(self.failure, self._failed_at, inf if self.refuses else now)
        return self._rest if self._rest is not None and now < self._rest.until else None

    def pause(self, failure: BridgeError, seconds: float) -> None:
        """Start nothing for so long: the server asks for it."""
        now = time.monotonic()
        rest = self._rest if self._rest is not None and now < self._rest.until else Away(failure, now, now)
        self._rest = Away(failure, rest.since, max(rest.until, now + seconds))
        asyncio.get_running_loop().call_later(seconds, self._changed)

    def fail(self, failure: BridgeError) -> None:
        """It does not answer; what it holds is not known until it does."""
        if self.failure is None:
            self._failed_at = time.monotonic()
        self.failure = failure
        self.loader.forget()

    def is_due(self, seconds: float) -> bool:
        """Whether the last look, however it ended, was longer ago."""
        return time.monotonic() - self._looked_at > seconds

    def look(self) -> asyncio.Task[None]:
        """Ask what it has and holds, once for all who want to know now; then ``failure`` is up to date."""
        if self._looking is None or self._looking.done():
            self._looking = self._start(self._look())
        return self._looking

    async def _look(self) -> None:
        try:
            models, dialect = await self.loader.look(), await self.client.dialect()
        except BridgeError as failure:
            self.fail(failure)
        else:
            chatting = [model for model in models if model.chats]
            self.offers = offer((name for model in chatting for name in (model.id, *model.aliases)), self.name)
            self.unlisted = not models and not dialect.loads
            self._queues, self._lets_go = dialect.queues, dialect.unloads
            self.failure, self._pause = None, 0.0
        self._looked_at = time.monotonic()
        self._changed()

    def probe(self, wanted: Callable[[], bool]) -> None:
        """While it is away and ``wanted``, look again and again, at once and then less and less often."""
        if self.failure is not None and (self._probing is None or self._probing.done()):
            self._probing = self._start(self._probe(wanted))

    async def _probe(self, wanted: Callable[[], bool]) -> None:
        while self.failure is not None and wanted():
            await asyncio.sleep(self._pause)
            most = _MOST_PAUSE_REFUSED if self.refuses else _MOST_PAUSE
            self._pause = min(most, max(_FIRST_PAUSE, 2 * self._pause))
            await self.look()

    def prepare(self, model: str, others: Iterable[Host]) -> None:
        """Begin to make it ready for a request, after the ``others`` of its card let go; nothing when it is."""
        self.wake(model)
        away = [other for other in others if other.loader.looked is None or other.loader.held]
        if model not in self._preparing and (away or not self.loader.ready(model)):
            task = self._preparing[model] = self._start(self._prepare(model, away))
            task.add_done_callback(lambda done: self._prepared(model, done))

    async def _prepare(self, model: str, others: Iterable[Host]) -> float | None:
        for other in others:
            with suppress(BridgeError):
                await other.loader.unload_all()
        return await self.loader.prepare(model, lambda event: self._tell(model, event))

    def _prepared(self, model: str, task: asyncio.Task[float | None]) -> None:
        del self._preparing[model]
        self._told.pop(model, None)
        if not task.cancelled():
            task.exception()
        elif not self._closing:
            # The client undoes the load meanwhile; nothing else may begin before that is over.
            self.unload(model)
        self._changed()

    async def prepared(self, model: str, tell: Callable[[Event], None]) -> float | None:
        """When a request for the model may be sent; the seconds of its load. Raises as `Loader.prepare`."""
        task = self._preparing.get(model)
        if task is None:
            return None
        if model in self._told:
            tell(self._told[model])
        return await asyncio.shield(task)

    def abandon(self, model: str) -> None:
        """Nobody wants it any more: stop loading it."""
        if (task := self._preparing.get(model)) is not None:
            task.cancel()

    def _tell(self, model: str, event: Event) -> None:
        self._told[model] = event
        for asked in self.running:
            if asked.kind.model == model:
                asked.tell(event)

    def rest(self, model: str, keep: float) -> None:
        """Unload the model after ``keep`` seconds in which nobody asks for it."""
        self.wake(model)
        if keep > 0:
            self._resting[model] = asyncio.get_running_loop().call_later(keep, self.unload, model)
        else:
            self.unload(model)

    def wake(self, model: str) -> None:
        """It is used: it does not rest."""
        if (timer := self._resting.pop(model, None)) is not None:
            timer.cancel()

    def unload(self, model: str) -> asyncio.Task[None]:
        """Let go of the model; nothing starts here before that is done."""
        self.wake(model)
        task = self._start(self._unload(model))
        self._unloads.add(task)
        task.add_done_callback(self._unloaded)
        return task

    def unused(self, model: str | None) -> list[str]:
        """What is loaded, can be let go and answers nobody just now: this model, or all that chat if None."""
        if not self._lets_go:
            return []
        wanted = None if model is None else self.loader.listed(model)
        chatting = {each.id for each in self.loader.models if each.chats}
        return [
            name
            for name in self.loader.held
            if name in chatting and wanted in (None, name) and not self.runs(name) and name not in self._preparing
        ]

    async def _unload(self, model: str) -> None:
        with suppress(BridgeError):
            await self.loader.unload(model)

    def _unloaded(self, task: asyncio.Task[None]) -> None:
        self._unloads.discard(task)
        self._changed()

    async def close(self) -> None:
        """Unload what rests, and stop everything else."""
        self._closing = True
        for model in list(self._resting):
            self.wake(model)
            self.unload(model)
        for task in self._tasks - self._unloads:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
