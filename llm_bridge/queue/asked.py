"""One request on its way through the queue, and its answer as the one who asked sees it.

Owns what is known of the request from arrival to end; the queue moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from llm_bridge.chat import ChatRequest, Event, Reasoning, Reply, Text, ToolCallPiece, Transcript
from llm_bridge.client import Client, Stream
from llm_bridge.queue.feed import Feed
from llm_bridge.queue.line import Kind, Ticket

__all__ = ["Asked", "Checks", "QueuedStream", "unchecked"]

Checks = Callable[[ChatRequest, Callable[[ChatRequest], Awaitable[Reply]], Callable[[Event], object]], Awaitable[Reply]]
"""What is done with the replies while the place is held: `structured.answered`, or nothing."""


async def unchecked(
    request: ChatRequest, ask: Callable[[ChatRequest], Awaitable[Reply]], on_event: Callable[[Event], object]
) -> Reply:
    """The reply as it comes."""
    return await ask(request)


class Asked(Ticket):
    """``place`` is the server where it starts, once that is decided; ``server`` is where it runs now.

    ``began`` is True once a token came. ``lost`` counts the servers that went away under it.
    """

    def __init__(self, request: ChatRequest, kind: Kind, seq: int, arrived: float, checks: Checks) -> None:
        super().__init__(kind, seq, arrived)
        self.request, self.checks = request, checks
        self.feed = Feed()
        self.place: asyncio.Future[str] | None = None
        self.server: str | None = None
        self.ahead: int | None = None
        self.began = False
        self.lost = 0
        self.failed_at: float | None = None
        self.queued: float | None = None
        self.load: float | None = None
        self.stream: Stream | None = None
        self.reply: Reply | None = None

    def tell(self, event: Event) -> None:
        self.began = self.began or isinstance(event, Text | Reasoning | ToolCallPiece)
        self.feed.put(event)

    async def answer(self, client: Client) -> Reply:
        """Send it, and whatever its checks send after it."""

        async def once(request: ChatRequest) -> Reply:
            async with client.stream(request) as self.stream:
                async for event in self.stream:
                    self.tell(event)
                return self.stream.reply

        reply = await self.checks(self.request, once, self.tell)
        return self.measured(reply)

    def measured(self, reply: Reply) -> Reply:
        return reply.measured(queued=self.queued, load=self.load)


class QueuedStream:
    """The events of one answer, from waiting to done, and the reply that they add up to."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._transcript = Transcript()

    def __aiter__(self) -> QueuedStream:
        return self

    async def __anext__(self) -> Event:
        event = await self._asked.feed.get()
        if event is None:
            raise StopAsyncIteration
        self._transcript.add(event)
        return event

    @property
    def reply(self) -> Reply:
        """What was read so far; whole when the events have ended."""
        stream, reply = self._asked.stream, self._transcript.reply
        if stream is not None:
            sent = stream.reply
            reply = replace(reply, metrics=sent.metrics, server=sent.server)
        return self._asked.measured(reply)
