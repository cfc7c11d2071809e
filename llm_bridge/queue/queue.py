"""The queue in front of LLM servers, for one process where no workbench governs. Nothing is stored.

Owns the requests' way: in line, prepared, sent, and back in line when its server went away before the first token.
Each is served by a task of its own, so that a slow reader holds up nobody. What starts when is the dispatcher's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import (
    BadInput,
    BridgeError,
    LoadFailed,
    ServerBusy,
    ServerError,
    ServerLost,
    ServerUnavailable,
    TimedOut,
    UnknownModel,
)
from llm_bridge.providers import Model, named
from llm_bridge.queue.asked import Asked, Checks, QueuedStream, unchecked
from llm_bridge.queue.dispatcher import Dispatcher
from llm_bridge.queue.host import Host
from llm_bridge.queue.line import Kind
from llm_bridge.queue.snapshot import ServerView, Snapshot
from llm_bridge.scheduling import Policy
from llm_bridge.speeds import Speeds
from llm_bridge.structured import answered
from llm_bridge.transport import Timeouts

__all__ = ["Queue"]

_FRESH_SECONDS = 2.0
"""A list of models that is older is asked for again before a model is said not to exist."""

_AWAY_SECONDS = 0.5
_BUSY_SECONDS = 1.0
_MOST_LOST = 3
"""A request under which so many servers went away is taken for the cause."""


class _Clients:
    """Opens the clients of a queue, which live as long as it does."""

    def __init__(self, stack: AsyncExitStack, timeouts: Timeouts | None) -> None:
        self._stack, self._timeouts = stack, timeouts

    async def open(self, endpoint: Endpoint) -> Client:
        # What failed waits in line again, instead of on a server's slot.
        opening = Client.open(endpoint, timeouts=self._timeouts, retry=Retry(attempts=1))
        return await self._stack.enter_async_context(opening)


class Queue:
    """Make one with `open`. Every method may be called from many tasks at once, on one event loop."""

    def __init__(self, dispatcher: Dispatcher, patience: float, most: int, clients: _Clients) -> None:
        self._dispatcher = dispatcher
        self._patience, self._most = patience, most
        self._clients = clients
        self._tasks: dict[Asked, asyncio.Task[None]] = {}
        self._last = 0
        self._usual = _BUSY_SECONDS
        self.speeds = Speeds()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        endpoints: Iterable[Endpoint],
        *,
        policy: Policy | None = None,
        keep: float | None = None,
        patience: float = 120.0,
        most: int = 1000,
        timeouts: Timeouts | None = None,
    ) -> AsyncGenerator[Queue]:
        """A queue in front of these servers, which need not be there yet.

        ``keep`` is for how many seconds of rest a model stays loaded, None to leave that to its server. A request
        waits for ``patience`` seconds for servers that are away. At most ``most`` requests wait.

        Raises:
            BadInput: two servers have one name, or the key of one is missing.
        """
        dispatcher = Dispatcher(policy or Policy(), keep, patience)
        async with AsyncExitStack() as stack:
            queue = cls(dispatcher, patience, most, _Clients(stack, timeouts))
            for endpoint in endpoints:
                await queue.add(endpoint)
            try:
                yield queue
            finally:
                await queue._close()

    async def add(self, endpoint: Endpoint) -> None:
        """One more server from now on. Raises BadInput: one of this name is there, or its key is missing."""
        hosts = self._dispatcher.hosts
        if endpoint.name in hosts:
            raise BadInput(f"Two servers are called {endpoint.name}.", hint="Give each a name of its own.")
        hosts[endpoint.name] = Host(await self._clients.open(endpoint), self._dispatcher.schedule)

    @asynccontextmanager
    async def stream(
        self, request: ChatRequest, *, server: str | None = None, owner: str = "local", priority: int = 0
    ) -> AsyncGenerator[QueuedStream]:
        """The answer as it comes, from its place in the line on; leaving the block early gives up the place.

        ``server`` None is any that offers the model. ``owner`` takes turns with others; a higher ``priority`` starts
        first. Events and errors come from iterating, as `Client.stream` has them, and besides:

        Raises:
            BadInput: there is no such server.
            ServerBusy: too many wait, and the detail ``full`` is True; at once. Else also after ``patience``.
            UnknownModel: no server offers the model.
            ServerUnavailable, ServerLost: also after ``patience``.
        """
        async with self._asked(request, unchecked, server, owner, priority) as asked:
            yield QueuedStream(asked)

    async def ask(
        self,
        request: ChatRequest,
        on_event: Callable[[Event], object] | None = None,
        *,
        server: str | None = None,
        owner: str = "local",
        priority: int = 0,
    ) -> Reply:
        """The whole reply; with a schema checked, mended and if need be asked for once more from the same place.

        Raises as `stream`, and:

        Raises:
            SchemaMismatch: the model does not manage to answer what the schema asks for.
        """
        async with self._asked(request, answered, server, owner, priority) as asked:
            while (event := await asked.feed.get()) is not None:
                if on_event is not None:
                    on_event(event)
            assert asked.reply is not None
            return asked.reply

    async def models(self, *, fresh: float = 5.0) -> Mapping[str, Sequence[Model] | BridgeError]:
        """What each server has, by name, at most ``fresh`` seconds old; of one that is away, why.

        One that was away is asked again after half a second: people start it and try again.
        """
        hosts = self._dispatcher.hosts
        known = {host: fresh if host.failure is None else min(fresh, _AWAY_SECONDS) for host in hosts.values()}
        if old := [host.look() for host, seconds in known.items() if host.is_due(seconds)]:
            await asyncio.wait(old)
        return {name: host.failure or host.loader.models for name, host in hosts.items()}

    def remembered(self, server: str) -> Sequence[Model]:
        """What a server had when it last answered, whether it does now or not."""
        return self._dispatcher.hosts[server].loader.models

    async def find(self, model: str, *, server: str | None = None) -> Model:
        """The model of this name on the first server that has it, or on ``server``. Raises UnknownModel."""
        return (await self._first_with(model, server))[1]

    async def count(self, request: ChatRequest, *, server: str | None = None) -> int | None:
        """As `Client.count`, by the server that `find` finds; in no line, since nothing is generated."""
        host, _ = await self._first_with(request.model, server)
        return await host.client.count(request)

    async def _first_with(self, model: str, server: str | None) -> tuple[Host, Model]:
        found: list[tuple[Host, Model]] = []
        for name, models in (await self.models()).items():
            if server in (None, name) and not isinstance(models, BridgeError) and (each := named(model, models)):
                found.append((self._dispatcher.hosts[name], each))
        if not found:
            raise self._dispatcher.unknown(model)
        return min(found, key=lambda pair: pair[1].id != model)

    async def unload(self, model: str | None = None, *, server: str | None = None) -> list[str]:
        """Let go of a model, or of every one, anywhere or on ``server``; of those that went `server/model`.

        What answers just now stays, and what waits is loaded again. Servers that are away or cannot be told to unload
        hold nothing of ours. Models that only embed stay too.
        """
        hosts = [host for host in self._dispatcher.hosts.values() if server in (None, host.name)]
        if hosts:
            await asyncio.wait([host.look() for host in hosts])
        gone = [(host, name) for host in hosts if host.failure is None for name in host.unused(model)]
        if gone:
            await asyncio.wait([host.unload(name) for host, name in gone])
        return [f"{host.name}/{name}" for host, name in gone if name not in host.loader.held]

    def snapshot(self) -> Snapshot:
        """For people: what is loaded, runs and waits now."""
        line, hosts = self._dispatcher.line, self._dispatcher.hosts.values()
        return Snapshot(tuple(self._view(host) for host in hosts), len(line))

    def _view(self, host: Host) -> ServerView:
        waiting: Counter[str] = Counter()
        for kind in self._dispatcher.line.kinds:
            if host in self._dispatcher.takers(kind):
                waiting[kind.model] += self._dispatcher.line.waiting(kind)
        running = Counter(ticket.kind.model for ticket in host.running)
        failure = None if host.failure is None else host.failure.message
        loaded, endpoint = tuple(host.loader.held), host.client.endpoint
        loading = tuple(host.loading)
        return ServerView(
            host.name, host.slots, loaded, loading, running, waiting, failure, endpoint.cost, host.unlisted
        )

    @asynccontextmanager
    async def _asked(
        self, request: ChatRequest, checks: Checks, server: str | None, owner: str, priority: int
    ) -> AsyncGenerator[Asked]:
        """A request that is being served as long as the block lasts."""
        if server is not None and server not in self._dispatcher.hosts:
            known = ", ".join(self._dispatcher.hosts) or "none"
            raise BadInput(f"There is no server called {server[:64]!r}.", hint=f"There are: {known}.")
        self._check_room()
        self._last += 1
        kind = Kind(owner, priority, request.model, server or "")
        asked = Asked(request, kind, self._last, time.monotonic(), checks)
        task = self._tasks[asked] = asyncio.create_task(self._serve(asked))
        task.add_done_callback(lambda _: self._tasks.pop(asked, None))
        try:
            yield asked
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    def _check_room(self) -> None:
        running = sum(len(host.running) for host in self._dispatcher.hosts.values())
        if len(self._tasks) - running >= self._most:
            retry_after = round(max(_BUSY_SECONDS, self._usual), 1)
            message = f"{self._most} requests wait already."
            raise ServerBusy(message, hint="Ask again later.", retry_after=retry_after, full=True)

    async def _serve(self, asked: Asked) -> None:
        """From the line to the end of the answer, as often as its server goes away before the first token."""
        try:
            while not await self._tried(asked):
                pass
        except asyncio.CancelledError:
            asked.feed.end(ServerUnavailable("The queue was closed.", hint="Open it for as long as it is used."))
            raise
        except BaseException as failure:
            asked.feed.end(failure)
            if not isinstance(failure, Exception):
                raise
        else:
            asked.feed.end()

    async def _tried(self, asked: Asked) -> bool:
        """Whether the answer is whole; otherwise it is to be tried again. Raises what is final."""
        kind = replace(asked.kind, model=asked.request.model)
        await self._look_for(kind)
        asked.kind = self._dispatcher.listed(kind)
        try:
            self._dispatcher.enter(asked)
            assert asked.place is not None
            host = self._dispatcher.hosts[await asked.place]
            try:
                await self._answer(asked, host)
            except BridgeError as failure:
                if not self._goes_on_after(failure, asked, host):
                    raise
                return False
            return True
        finally:
            self._dispatcher.leave(asked)

    async def _answer(self, asked: Asked, host: Host) -> None:
        began = time.monotonic()
        model = asked.kind.model
        load = await host.prepared(model, asked.feed.put)
        now = time.monotonic()
        # Who came in the middle of a load waited for the rest of it only.
        asked.load = None if load is None else min(load, now - began)
        asked.queued = now - asked.arrived - (asked.load or 0.0)
        host.loader.used(model)
        asked.reply = await asked.answer(host.client)
        host.loader.used(model)
        self.speeds.see(host.name, model, asked.reply)
        self._usual += 0.1 * (time.monotonic() - began - self._usual)

    def _goes_on_after(self, failure: BridgeError, asked: Asked, host: Host) -> bool:
        """Learn from a failure; whether the request is tried again, here or elsewhere."""
        late = failure.details.get("stage") if isinstance(failure, TimedOut) else None
        if isinstance(failure, LoadFailed) or late == "load":
            self._dispatcher.refuse_alike(asked, failure)
        if isinstance(failure, ServerError | TimedOut | UnknownModel):
            host.loader.forget()
        if isinstance(failure, ServerBusy):
            host.pause(failure, failure.details.get("retry_after", _BUSY_SECONDS))
        elif failure.temporary or late in ("connect", "answer"):
            host.fail(failure)
        else:
            return False
        now = time.monotonic()
        asked.failed_at = now if asked.failed_at is None else asked.failed_at
        asked.lost += isinstance(failure, ServerLost)
        back = self._dispatcher.back(asked.kind, now)
        return not asked.began and asked.lost < _MOST_LOST and back - asked.failed_at <= self._patience

    async def _look_for(self, kind: Kind) -> None:
        """Find out which servers have the model, when none is known to. Nothing is asked when one is.

        One that refused is asked whether it still does; one that is away is probed while somebody waits for it.
        """
        hosts = self._dispatcher.hosts.values()

        def found() -> bool:
            return any(not host.refuses for host in self._dispatcher.listing(kind))

        if found():
            return
        looks = {
            host.look()
            for host in hosts
            if ((host.failure is None and not host.unlisted) or host.refuses)
            and (host.takes(kind) or not kind.server)
            and host.is_due(_FRESH_SECONDS)
        }
        while looks and not found():
            _, looks = await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)

    async def _close(self) -> None:
        self._dispatcher.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(*(host.close() for host in self._dispatcher.hosts.values()))
