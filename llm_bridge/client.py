"""A client of one LLM server: ask it, stream the answer, load and unload its models.

Owns deadlines and retries; the dialect owns the protocol. It bounds nothing: put `queue` in front of a server that can
do one thing at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from llm_bridge.chat import ChatRequest, Event, Loading, Reply
from llm_bridge.deadline import Deadline
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BridgeError, ServerUnavailable, TimedOut, UnknownModel
from llm_bridge.framing import pieces
from llm_bridge.providers import Dialect, Model, State, named
from llm_bridge.providers.registry import detect, dialect_named
from llm_bridge.stream import Stream, Watch
from llm_bridge.structured import answered
from llm_bridge.transport import COMMENT, Timeouts, Transport, too_slow

__all__ = ["Client", "Retry", "Stream"]

_LOADING_SECONDS = 0.25
"""How often a server that loads a model is asked again."""

_UNDO_SECONDS = 5.0

OnEvent = Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class Retry:
    """``attempts`` in all, the first pause in seconds, doubled each time; a server may ask for up to ``most``."""

    attempts: int = 3
    pause: float = 0.5
    most: float = 30.0

    def pause_after(self, attempt: int, failure: BridgeError) -> float | None:
        """Seconds to wait after the ``attempt``-th failure (from 1), None to give up."""
        if attempt >= self.attempts or not failure.temporary:
            return None
        asked = failure.details.get("retry_after")
        pause = self.pause * 2 ** (attempt - 1) if asked is None else asked
        return pause if pause <= self.most else None


class Client:
    """Make one with `open`. Every method may be called from many tasks at once, on one event loop."""

    def __init__(self, transport: Transport, retry: Retry | None = None) -> None:
        self._transport = transport
        self._retry = retry or Retry()
        self._dialect: Dialect | None = None
        self._detecting: asyncio.Task[Dialect] | None = None
        self._undoing: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, endpoint: Endpoint, *, timeouts: Timeouts | None = None, retry: Retry | None = None
    ) -> AsyncGenerator[Client]:
        """A client of the server at ``endpoint``, which need not be there yet. Raises BadInput without its key."""
        async with Transport.open(endpoint, timeouts) as transport:
            client = cls(transport, retry)
            try:
                yield client
            finally:
                await client._tidied()

    @property
    def endpoint(self) -> Endpoint:
        return self._transport.endpoint

    async def dialect(self) -> Dialect:
        """The dialect that the server speaks, found out once for all who ask. Raises as `registry.detect` does."""
        if self._dialect is not None:
            return self._dialect
        if self._detecting is None:
            self._detecting = asyncio.create_task(self._detected())
            self._detecting.add_done_callback(self._detection_over)
        # Who is cancelled goes without the others.
        return await asyncio.shield(self._detecting)

    async def _detected(self) -> Dialect:
        kind = self.endpoint.kind
        dialect = (dialect_named(kind) if kind else await detect(self._transport))(self._transport)
        await dialect.learn()
        self._dialect = dialect
        return dialect

    def _detection_over(self, detecting: asyncio.Task[Dialect]) -> None:
        self._detecting = None
        if not detecting.cancelled():
            # Those who wait raise it; when none does any more, nobody needs to be told.
            detecting.exception()

    async def models(self) -> list[Model]:
        """What the server offers now. Raises BridgeError."""
        try:
            return await (await self.dialect()).offered()
        except ServerUnavailable:
            # What answers there next may be another server.
            self._dialect = None
            raise

    async def find(self, model: str) -> Model:
        """The model that the server means by this name, as it is now. Raises UnknownModel."""
        models = await self.models()
        if (found := named(model, models)) is not None:
            return found
        names = ", ".join(each.id for each in models[:10]) or "none"
        raise UnknownModel(f"{self.endpoint.name} has no model {model[:128]!r}.", hint=f"It has: {names}.")

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> float:
        """Load a model and wait for it, with ``context`` tokens and for ``ttl`` seconds of rest where the server can
        be told; the seconds that it took. A load that is cancelled or takes too long is undone.

        Raises:
            NotSupported, UnknownModel, LoadFailed, TimedOut: as `Dialect.load`.
        """
        if self._undoing:
            # A load beside the undoing of an earlier one would be undone with it.
            await asyncio.wait(self._undoing)
        dialect, began = await self.dialect(), time.perf_counter()
        try:
            async with asyncio.timeout(self._transport.timeouts.load):
                await dialect.load(model, context=context, ttl=ttl)
        except TimeoutError:
            self._undo(dialect, model)
            raise too_slow(self.endpoint.name, "load", self._transport.timeouts) from None
        except (asyncio.CancelledError, TimedOut):
            self._undo(dialect, model)
            raise
        return time.perf_counter() - began

    async def unload(self, model: str) -> None:
        """Let go of a model; one that is not loaded is no failure. Raises NotSupported."""
        await (await self.dialect()).unload(model)

    async def unload_all(self) -> list[str]:
        """Let go of all models that are loaded, as far as the server can be told to; the names of those."""
        dialect = await self.dialect()
        if not dialect.unloads:
            return []
        held = (State.LOADED, State.LOADING, State.SLEEPING)
        names = [model.id for model in await dialect.offered() if model.state in held]
        for name in names:
            await dialect.unload(name)
        return names

    async def count(self, request: ChatRequest) -> int | None:
        """Tokens of the whole prompt by the server, None when it does not count."""
        return await (await self.dialect()).count(request)

    @asynccontextmanager
    async def stream(self, request: ChatRequest) -> AsyncGenerator[Stream]:
        """The answer as it comes. Leaving the block early closes the socket, which is how a server is told to stop.

        Before its first token a request that failed for now is sent again; after it never. Events and errors come from
        iterating:

        Raises:
            TimedOut: stage connect, load, first_token or idle.
            ServerUnavailable, ServerBusy, ServerLost: also after the retries.
            BridgeError: anything else that the server or the protocol refuses.
        """
        watch = Watch()
        async with aclosing(self._events(request, watch)) as events:
            yield Stream(events, watch, self.endpoint.name)

    async def ask(self, request: ChatRequest, on_event: OnEvent | None = None) -> Reply:
        """The whole reply; ``on_event`` sees every event as it comes. Raises as `stream`.

        With a schema the answer is checked, mended and if need be asked for once more (`structured`).

        Raises:
            SchemaMismatch: the model does not manage to answer what the schema asks for.
        """
        return await answered(request, lambda asked: self._asked(asked, on_event), on_event)

    async def _asked(self, request: ChatRequest, on_event: OnEvent | None) -> Reply:
        async with self.stream(request) as events:
            async for event in events:
                if on_event is not None:
                    on_event(event)
            return events.reply

    async def _events(self, request: ChatRequest, watch: Watch) -> AsyncGenerator[Event]:
        attempts = _Attempts(self._retry, self._transport)
        while True:
            try:
                async with aclosing(self._once(request, watch)) as events:
                    async for event in events:
                        yield event
                return
            except BridgeError as failure:
                if isinstance(failure, ServerUnavailable):
                    self._dialect = None
                if watch.first is not None:
                    raise
                waited = attempts.loading
                pause = attempts.pause_after(failure)
            if attempts.loading and not waited:
                yield Loading(request.model)
            await asyncio.sleep(pause)

    async def _once(self, request: ChatRequest, watch: Watch) -> AsyncGenerator[Event]:
        """One attempt, from the POST to the end of the answer; before the first also what the server is."""
        timeouts, now, deadline = self._transport.timeouts, asyncio.get_running_loop().time, Deadline()
        first_by = now() + timeouts.first_token
        async with AsyncExitStack() as stack:
            stack.callback(deadline.close)
            try:
                with deadline.until(first_by):
                    dialect = await self.dialect()
                    decoder, call = dialect.decoder(request), dialect.call(request)
                    watch.start()
                    posting = self._transport.stream("POST", call.path, call.body, call.headers)
                    response = await stack.enter_async_context(posting)
                body = await stack.enter_async_context(aclosing(pieces(response, comments=dialect.queues)))
                while not decoder.ended:
                    with deadline.until(first_by if watch.first is None else now() + timeouts.idle):
                        together = await anext(body, None)
                    if together is None:
                        break
                    watch.hear()
                    if watch.first is None and together[-1][0] == COMMENT:
                        # It waits in the server's own queue, and the server is there to say so.
                        first_by = now() + timeouts.first_token
                    waited_for = watch.first is None
                    for piece in together:
                        for event in watch.seen(decoder.feed(*piece)):
                            yield event
                        if waited_for and watch.first is not None:
                            # Who waits for the first token has it before the rest of what came with it is read.
                            waited_for = False
                            await asyncio.sleep(0)
            except TimeoutError:
                stage = "first_token" if watch.first is None else "idle"
                raise too_slow(self.endpoint.name, stage, timeouts) from None
            for event in watch.seen(decoder.flush()):
                yield event
            done = decoder.end()
            if dialect.queues:
                watch.leave_out((done.timings.queued or 0.0) + (done.timings.load or 0.0))
        yield done

    def _undo(self, dialect: Dialect, model: str) -> None:
        """Unload beside a caller that is being cancelled and can wait for nothing."""

        async def quietly() -> None:
            try:
                async with asyncio.timeout(_UNDO_SECONDS):
                    await dialect.unload(model)
            except (BridgeError, TimeoutError):
                return

        if dialect.unloads:
            task = asyncio.create_task(quietly())
            self._undoing.add(task)
            task.add_done_callback(self._undoing.discard)

    async def _tidied(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        left = set[asyncio.Task[Any]](self._undoing)
        if self._detecting is not None:
            self._detecting.cancel()
            left.add(self._detecting)
        while left := {task for task in left if not task.done()}:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError as failure:
                # A cancel scope of anyio cancels again and again; what is undone has an end of its own.
                cancelled = failure
        if cancelled is not None:
            raise cancelled


class _Attempts:
    """How long a request that was refused waits for its next attempt."""

    def __init__(self, retry: Retry, transport: Transport) -> None:
        self._retry, self._transport = retry, transport
        self._failed = 0
        self._loaded_by: float | None = None

    @property
    def loading(self) -> bool:
        """Whether the server was found loading."""
        return self._loaded_by is not None

    def pause_after(self, failure: BridgeError) -> float:
        """Seconds. Raises ``failure`` when it is the last, TimedOut when a model has been loading for too long."""
        if failure.details.get("loading"):
            return self._loading_pause(failure)
        self._failed += 1
        pause = self._retry.pause_after(self._failed, failure)
        if pause is None:
            raise failure
        return pause

    def _loading_pause(self, failure: BridgeError) -> float:
        now, timeouts = time.perf_counter(), self._transport.timeouts
        if self._loaded_by is None:
            self._loaded_by = now + timeouts.load
        if now >= self._loaded_by:
            raise too_slow(self._transport.name, "load", timeouts) from failure
        return min(failure.details.get("retry_after") or _LOADING_SECONDS, self._loaded_by - now)
