"""An LLM server as a backend: it answers chats, one attempt after another, and lets go of its models.

Owns the attempts that run, and what its server holds as far as it is known; never a job. Nothing of an attempt outlives
the process: a stream that broke off cannot be taken up again, only asked for anew.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import anyio

from comfy_mcp.backends.bridge_failures import translated
from comfy_mcp.errors import BackendLost, BackendUnavailable, Interrupted, OutputUnreadable, SettingsError, TimedOut
from comfy_mcp.jobs import Progress, Result, Run
from comfy_mcp.texts import outputs_of, request_of
from llm_bridge.chat import (
    ChatRequest,
    Done,
    Event,
    Loading,
    Prompting,
    Reasoning,
    Reply,
    Restarted,
    Text,
    ToolCallPiece,
)
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BridgeError
from llm_bridge.loading import Loader
from llm_bridge.providers import Model
from llm_bridge.speeds import Speeds
from llm_bridge.transport import Timeouts

__all__ = ["LLMBackend", "UnusableLLM"]

_FRESH_SECONDS = 30.0
_TOLD_SECONDS = 0.1
_MOST_TEXT = 20_000
"""Letters of a growing answer that are shown while it grows; the end is what people watch."""
_MOST_ANSWER = 4_000_000
"""Letters of an answer, thoughts and calls included: a model that goes round in circles fills no disk."""
_LETTERS_OF_A_PIECE = 32
"""What a piece of a tool call counts beside its letters: one without any takes room as well."""


class LLMBackend:
    """One LLM server. ``client`` speaks its dialect."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.speeds = Speeds()
        self._loader = Loader(client)
        # Who waits for nobody waits for nothing: it is on the way of every first token.
        self._reading = anyio.Lock(fast_acquire=True)
        self._running: dict[str, anyio.CancelScope] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoint: Endpoint, *, timeouts: Timeouts | None = None) -> AsyncGenerator[LLMBackend]:
        """Make the connection pool; nothing is sent yet. Raises SettingsError when its key is missing."""
        async with AsyncExitStack() as stack:
            try:
                client = await stack.enter_async_context(Client.open(endpoint, timeouts=timeouts))
            except BridgeError as failure:
                raise SettingsError(failure.message, hint=failure.hint) from failure
            yield cls(client)

    async def models(self, *, fresh: bool = False) -> Sequence[Model]:
        """What it offers, at most half a minute old; ``fresh`` asks again. Raises BackendError."""
        asked_at = time.monotonic()
        async with self._reading:
            looked = self._loader.looked
            if looked is None or asked_at - looked > (0 if fresh else _FRESH_SECONDS):
                with _ours():
                    # Asked before it is looked at: one that is ourselves would wait for this answer to give it.
                    if (await self.client.dialect()).queues:
                        raise BackendUnavailable(
                            "What answers there is a workbench, and a chat could wait for itself.",
                            hint="Name the LLM servers behind it.",
                        )
                    await self._loader.look()
            return self.known

    @property
    def known(self) -> Sequence[Model]:
        """What it had when it was last asked, with what was loaded and unloaded since; never asks."""
        return self._loader.models

    async def probe(self) -> None:
        await self.models(fresh=True)

    async def refresh(self) -> bool:
        before = self._loader.looked
        await self.models()
        return self._loader.looked != before

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        mine = {f"llm:{model.id}" for model in self.known} | {f"server:{self.client.endpoint.name}"}
        return names & mine

    async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        request = request_of(run.bound, run.images)
        scope = self._running[run.prompt_id] = anyio.CancelScope(deadline=anyio.current_time() + run.timeout)
        try:
            with scope:
                reply = await self.ask(request, _Told(request, on_progress).see)
                return Result((), outputs_of(reply))
        finally:
            del self._running[run.prompt_id]
        if scope.deadline <= anyio.current_time():
            raise TimedOut(
                f"The answer took longer than {run.timeout:.0f} s.", hint="Ask for less, or raise job_timeout."
            )
        raise Interrupted("The answer was stopped.")

    async def ask(self, request: ChatRequest, on_event: Callable[[Event], object]) -> Reply:
        """The reply, checked when the request has a schema; its model is loaded first. ``on_event`` sees what comes.

        Raises:
            WorkbenchError: why there is none. BackendUnavailable has the detail ``reached`` as that of `run`.
        """
        bounded = _Bounded(on_event)
        try:
            load = await self._loader.prepare(request.model, on_event)
            reply = await self.client.ask(request, bounded.see)
        except BridgeError as failure:
            self._loader.forget()
            raise translated(failure) from failure
        self._loader.used(request.model)
        self.speeds.see(self.client.endpoint.name, request.model, reply)
        return reply.measured(load=load)

    async def resume(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        raise BackendLost("The answer broke off with the workbench; it is asked for again.")

    async def cancel(self, attempt: str) -> None:
        if (scope := self._running.get(attempt)) is not None:
            scope.cancel()

    async def forget(self, attempts: Sequence[str]) -> None:
        """It keeps nothing."""

    async def unload(self) -> None:
        with _ours():
            await self._loader.unload_all()


class UnusableLLM(LLMBackend):
    """An LLM server that is set up in a way that cannot work, such as without its key: it only says why."""

    def __init__(self, failure: SettingsError) -> None:
        self.failure = BackendUnavailable(failure.message, hint=failure.hint)
        self._running = {}

    async def models(self, *, fresh: bool = False) -> Sequence[Model]:
        raise self.failure

    @property
    def known(self) -> Sequence[Model]:
        return ()

    async def refresh(self) -> bool:
        raise self.failure

    def offers(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset()

    async def ask(self, request: ChatRequest, on_event: Callable[[Event], object]) -> Reply:
        raise self.failure

    async def unload(self) -> None:
        """It holds nothing of ours."""


class _Bounded:
    """Hands on the events of one answer. Raises OutputUnreadable when it has no end."""

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event, self._letters = on_event, 0

    def see(self, event: Event) -> None:
        match event:
            case Text(more) | Reasoning(more):
                self._letters += len(more)
            case ToolCallPiece(_, arguments, id, name):
                self._letters += len(arguments) + len(id) + len(name) + _LETTERS_OF_A_PIECE
            case Restarted():
                self._letters = 0
            case _:
                pass
        if self._letters > _MOST_ANSWER:
            raise OutputUnreadable(
                f"The answer is longer than {_MOST_ANSWER} characters and was stopped.",
                hint="Set max_tokens, or choose another model: this one may go round in circles.",
            )
        self._on_event(event)


class _Told:
    """The progress of one answer, told at most ten times a second."""

    def __init__(self, request: ChatRequest, on_progress: Callable[[Progress], None]) -> None:
        self._most = request.sampling.max_tokens or 0
        self._on_progress = on_progress
        self._text = list[str]()
        self._pieces, self._next = 0, 0.0

    def see(self, event: Event) -> None:
        match event:
            case Loading():
                self._tell("loading")
            case Prompting(done, total):
                self._tell("prompt", done or 0, total or 0)
            case Text(text):
                self._grow(text)
            case Reasoning() | ToolCallPiece():
                self._grow("")
            case Restarted():
                self._text.clear()
                self._pieces = 0
                self._tell("text", 0, self._most)
            case Done():
                self._tell("text", self._pieces, self._most)
            case _:
                pass

    def _grow(self, text: str) -> None:
        self._text.append(text)
        self._pieces += 1
        if time.monotonic() >= self._next:
            self._tell("text" if text else "reasoning", self._pieces, self._most)

    def _tell(self, stage: str, value: int = 0, maximum: int = 0) -> None:
        self._next = time.monotonic() + _TOLD_SECONDS
        self._text = ["".join(self._text)[-_MOST_TEXT:]]
        fraction = min(1.0, value / maximum) if maximum and stage != "prompt" else 0.0
        self._on_progress(Progress(fraction, value, maximum, stage, self._text[0]))


@contextmanager
def _ours() -> Generator[None]:
    """Failures of the bridge come out as those of a backend."""
    try:
        yield
    except BridgeError as failure:
        raise translated(failure) from failure
