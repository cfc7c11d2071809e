"""Chats for clients that wait: asked when dispatch admits them, told as they come, and not stored.

Owns how a request finds its way to who answers it. A chat that shall outlive its client is a job (`chats`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import anyio

from comfy_mcp import images
from comfy_mcp.backends import LLMBackend
from comfy_mcp.callers import OWN
from comfy_mcp.dispatch import Dispatcher, Guest
from comfy_mcp.errors import BackendUnavailable
from comfy_mcp.jobs import JobRequest
from comfy_mcp.tasks import to_the_end
from comfy_mcp.texts import CHAT, images_of
from comfy_mcp.workbench.followed import Followed
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.messages import Image, Message, Part

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Answer", "Streams"]

_ELECTION_SECONDS = 2.0


class Answer(Protocol):
    """The events of one answer, for one reader, from whatever task. ``reply`` is whole when they have ended.

    ``server`` may change until the first event that is not `Waiting`: a model that was named without its server is
    asked wherever it is free first. ``because`` is why it was chosen, in a sentence, and "" for one that was named.
    """

    @property
    def model(self) -> str: ...

    @property
    def server(self) -> str: ...

    @property
    def because(self) -> str: ...

    @property
    def reply(self) -> Reply: ...

    def __aiter__(self) -> Answer: ...

    async def __anext__(self) -> Event: ...


class Streams:
    """The chats of those who wait."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._dispatcher: Dispatcher | None = None
        self._elected = anyio.Event()
        self._expected = float("-inf")

    def expect(self) -> None:
        """This process stands for election: what is asked at once is not yet somebody else's."""
        self._expected = time.monotonic() + _ELECTION_SECONDS

    def ask(self, dispatcher: Dispatcher) -> None:
        """It is elected, and answers."""
        self._dispatcher = dispatcher
        self._elected.set()

    @property
    def waiting(self) -> int:
        """How many of them wait for their turn, as far as this process hands out the cards."""
        return len(self._dispatcher.guests.waiting) if self._dispatcher else 0

    @property
    def answering(self) -> int:
        """How many of them are being answered here."""
        return len(self._dispatcher.guests.running) if self._dispatcher else 0

    @asynccontextmanager
    async def open(
        self,
        asked: ChatRequest,
        *,
        owner: str = OWN,
        priority: int = 0,
        tags: Sequence[str] = (),
        within: str | None = None,
    ) -> AsyncGenerator[Answer]:
        """Ask, and give the answer as it comes; leaving the block early ends it at its server.

        It waits for its turn beside what is stored. What is asked ``within`` a running attempt, by a node of its graph
        (of the same owner's job, or in the name of who has the machine), is answered before everything else and does
        not wait for the card that the graph holds; it ends with the attempt.

        Where another process was elected to hand out the cards, it is a stored job that is followed: its text comes in
        coarser steps, and its thoughts and tool calls at the end.

        Raises, also while it is told:
            InvalidParameter, InvalidImage, TooLarge: what no model takes, or a model that no server has.
            BackendUnavailable: no LLM server is set up, or none is there for too long.
            Overloaded: too many wait.
            WorkbenchError: why there is no answer.
        """
        within = asked.within if within is None else within
        schedule = JobRequest(CHAT, owner=owner, priority=priority, tags=tuple(tags))
        dispatcher = await self._asks()
        answering = (
            self._stored(asked, schedule, within)
            if dispatcher is None
            else self._at(dispatcher, asked, schedule, within)
        )
        async with answering as answer:
            yield answer

    async def _asks(self) -> Dispatcher | None:
        """The dispatcher of this process, if it is the one that works."""
        if self._dispatcher is None:
            with anyio.move_on_after(max(0.0, self._expected - time.monotonic())):
                await self._elected.wait()
        return self._dispatcher

    @asynccontextmanager
    async def _at(
        self, dispatcher: Dispatcher, asked: ChatRequest, schedule: JobRequest, within: str | None
    ) -> AsyncGenerator[Answer]:
        checked = await self._workbench.chats.checked(asked, schedule)
        request = replace(await _plain(asked), model=checked.model, within=None)
        guest = Guest(
            request,
            checked.needs,
            owner=schedule.owner,
            priority=schedule.priority,
            within=within or "",
            server=checked.server,
            because=checked.because,
            most=await self._workbench.tokens.most_waiting(schedule.owner),
        )
        dispatcher.guests.add(guest)
        try:
            yield guest
        finally:
            dispatcher.guests.leave(guest)

    @asynccontextmanager
    async def _stored(self, asked: ChatRequest, schedule: JobRequest, within: str | None) -> AsyncGenerator[Answer]:
        workbench = self._workbench
        checked = await workbench.chats.checked(asked, schedule)
        if within is not None:
            self._refuse_to_wait_for_itself(checked.needs)
        job = await workbench.chats.submit(asked, schedule)
        answer: Followed | None = None
        try:
            async with aclosing(workbench.follow(job.id, schedule.owner)) as changes:
                answer = Followed(job, changes, checked.server, checked.because)
                yield answer
        finally:
            if answer is None or not answer.ended:
                await to_the_end(workbench.cancel(job.id, schedule.owner))

    def _refuse_to_wait_for_itself(self, needs: frozenset[str]) -> None:
        """A graph whose card is handed out elsewhere would wait for a job that waits for the graph."""
        members = self._workbench.pool.members
        cards = {member.config.place for member in members if needs <= member.server(needs).offers}
        if any(member.config.place in cards for member in members if not isinstance(member.backend, LLMBackend)):
            raise BackendUnavailable(
                "A graph asks for a text, and another process of this workbench hands out its card.",
                hint="Run only one process that dispatches, and let the graph ask that one.",
            )


async def _plain(asked: ChatRequest) -> ChatRequest:
    """The request with its pictures as they would be stored: whole, within the limits, and without metadata."""
    if not any(images_of(asked)):
        return asked

    async def plain(part: Part) -> Part:
        if not isinstance(part, Image):
            return part
        accepted = await images.accept_upload(part.data)
        return Image(accepted.data, accepted.mime)

    async def plainly(message: Message) -> Message:
        return replace(message, parts=tuple([await plain(part) for part in message.parts]))

    return replace(asked, messages=tuple([await plainly(message) for message in asked.messages]))
