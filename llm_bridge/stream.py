"""The events of one answer while they come, and what can be measured of them.

Used by the client, which makes the events.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

from llm_bridge.chat import Event, Metrics, Reasoning, Reply, Text, ToolCallPiece, Transcript

__all__ = ["Stream", "Watch"]


class Watch:
    """When an answer was sent for, began and went on."""

    def __init__(self) -> None:
        self.sent = self.last = time.perf_counter()
        self.first: float | None = None

    def start(self) -> None:
        self.sent = self.last = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """So long the server let it wait for others or for the model, before it read the prompt."""
        if self.first is not None:
            self.sent = min(self.sent + seconds, self.first)

    def hear(self) -> None:
        """More came just now; what comes together has one time, since no rate can be told from it."""
        self.last = time.perf_counter()

    def seen(self, events: list[Event]) -> list[Event]:
        """The same events, which are in what came last, without an empty one: that stands for what is held back."""
        if self.first is None and any(isinstance(event, Text | Reasoning | ToolCallPiece) for event in events):
            self.first = self.last
            return [event for event in events if event != Text("")]
        return events

    def metrics(self, tokens: int | None) -> Metrics:
        if self.first is None:
            return Metrics(seconds=self.last - self.sent)
        lasted = self.last - self.first
        rate = (tokens - 1) / lasted if tokens is not None and tokens > 1 and lasted > 0 else None
        return Metrics(ttft=self.first - self.sent, seconds=self.last - self.sent, tokens_per_second=rate)


class Stream:
    """The events of one answer, and the reply that they add up to."""

    def __init__(self, events: AsyncIterator[Event], watch: Watch, server: str) -> None:
        self._events, self._watch, self._server = events, watch, server
        self._transcript = Transcript()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        event = await anext(self._events)
        self._transcript.add(event)
        return event

    @property
    def reply(self) -> Reply:
        """What there is so far; whole when the events have ended."""
        reply = self._transcript.reply
        metrics = self._watch.metrics(reply.usage.completion)
        return replace(reply, metrics=metrics, server=self._server)
