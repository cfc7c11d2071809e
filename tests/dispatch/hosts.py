"""Text backends that answer guests too, and guests in a few words."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from comfy_mcp.dispatch import Guest
from comfy_mcp.errors import BackendUnavailable, Interrupted
from comfy_mcp.jobs import Progress, Result, Run
from llm_bridge.chat import ChatRequest, Done, Event, Loading, Reply, Text, Waiting
from llm_bridge.messages import Message
from tests.dispatch.scripted import Scripted

__all__ = ["Host", "Painter", "answered", "came", "guest", "untouched", "waits"]


@dataclass
class Host(Scripted):
    """Answers guests as it runs jobs; ``hold`` keeps every answer open until it is set."""

    hold: anyio.Event | None = None
    breaks: int = 0
    """So many requests are lost before their first token."""
    refuses: bool = False
    asked: list[str] = field(default_factory=list[str])
    cancelled: list[str] = field(default_factory=list[str])
    at_once: int = 0

    async def ask(self, request: ChatRequest, on_event: Callable[[Event], object]) -> Reply:
        prompt = request.messages[-1].text
        self._reached()
        self.log.append(f"{self.name} answers {prompt}")
        self.asked.append(prompt)
        if self.refuses:
            raise BackendUnavailable("It is busy.", reached=False)
        if self.breaks:
            self.breaks -= 1
            raise BackendUnavailable("It broke off.", reached=True)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once + len(self.running))
        try:
            on_event(Loading(request.model))
            on_event(Text("Once "))
            if self.hold is not None:
                await self.hold.wait()
            else:
                await anyio.sleep(self.seconds)
            self._reached()
            on_event(Text(prompt))
            on_event(Done("stop"))
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(prompt)
            raise
        finally:
            self.at_once -= 1
        return Reply(f"Once {prompt}", finish="stop", model=request.model)


@dataclass
class Painter(Scripted):
    """Paints for as long as the node of its graph that ``asks`` within the attempt does."""

    asks: Callable[[str], Awaitable[object]] | None = None

    async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
        self.log.append(f"{self.name} runs {run.bound.values['prompt']}")
        stop = self.running[run.prompt_id] = anyio.Event()
        asks, self.asks = self.asks, None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._until_stopped, stop, tasks.cancel_scope)
                if asks is not None:
                    await asks(run.prompt_id)
                tasks.cancel_scope.cancel()
        finally:
            del self.running[run.prompt_id]
        if stop.is_set():
            raise Interrupted("It was stopped.")
        self.log.append(f"{self.name} ends {run.bound.values['prompt']}")
        return Result((), ())

    async def _until_stopped(self, stop: anyio.Event, scope: anyio.CancelScope) -> None:
        await stop.wait()
        scope.cancel()


def guest(
    prompt: str,
    model: str = "a",
    *,
    owner: str = "ann",
    priority: int = 0,
    needs: str = "text",
    within: str = "",
) -> Guest:
    request = ChatRequest(model, (Message.user(prompt),))
    return Guest(request, frozenset({needs}), owner=owner, priority=priority, within=within)


async def came(guest: Guest) -> list[Event]:
    """All its events. Raises what it failed with."""
    with anyio.fail_after(20):
        return [event async for event in guest]


async def answered(*guests: Guest) -> list[str]:
    """The texts of all, when they have ended."""
    for each in guests:
        await came(each)
    return [each.reply.text for each in guests]


async def waits(guest: Guest) -> Waiting:
    """The next event, which tells that it waits."""
    with anyio.fail_after(10):
        event = await anext(guest)
    assert isinstance(event, Waiting)
    return event


@contextmanager
def untouched(folder: Path) -> Generator[Callable[[], bool]]:
    """Whether nobody wrote to the database since."""
    database = sqlite3.connect(folder / "jobs.sqlite3")

    def version() -> int:
        return database.execute("PRAGMA data_version").fetchone()[0]

    try:
        before = version()
        yield lambda: version() == before
    finally:
        database.close()
