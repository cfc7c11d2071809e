"""A chat that is a stored job, told as it comes: what the changes of its job are as the events of a chat.

Used where the answer is made by another process, so that what it writes is only seen in steps.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator

from comfy_mcp.errors import BackendError, failure_of
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.texts import reply_of
from llm_bridge.chat import (
    Done,
    Event,
    Loading,
    Prompting,
    Reasoning,
    Reply,
    Restarted,
    Text,
    ToolCallPiece,
    Waiting,
)

__all__ = ["Followed", "Told"]


class Told:
    """Calls ``on_event`` with what the changes of a job tell, each once."""

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event, self._text = on_event, ""
        self._last: Event | None = None

    def see(self, job: Job) -> None:
        progress = job.progress
        if (event := _stage(job)) is not None:
            self._tell(event)
        elif progress.text and progress.text != self._text:
            if not progress.text.startswith(self._text):
                # It was asked again, or so much is there that only its end is told.
                self._tell(Restarted("The answer begins anew."))
                self._text = ""
            self._tell(Text(progress.text[len(self._text) :]))
            self._text = progress.text
        elif progress.node == "reasoning":
            # What it thinks comes with the reply; until then only that it does.
            self._tell(Reasoning(""))

    def _tell(self, event: Event) -> None:
        if event != self._last:
            self._last = event
            self._on_event(event)


class Followed:
    """The answer of a stored job, from its ``changes``: the text in the steps in which its job tells it, at the end
    what is left of it, its thoughts and its tool calls."""

    def __init__(self, job: Job, changes: AsyncGenerator[Job], server: str, because: str) -> None:
        self.model, self.server, self.because = job.model, server, because
        self.reply = Reply()
        self.ended = False
        self._text = ""
        self._events = self._told(changes)

    def __aiter__(self) -> Followed:
        return self

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def _told(self, changes: AsyncGenerator[Job]) -> AsyncGenerator[Event]:
        last: Event | None = None
        async for job in changes:
            self.server = job.backend or self.server
            if job.state.terminal:
                self.ended = True
                for event in self._rest(job):
                    yield event
            elif (event := _stage(job) or self._more(job)) is not None and event != last:
                last = event
                yield event

    def _more(self, job: Job) -> Event | None:
        """More of the text. Of one that begins anew, or is so long that only its end is told, the rest comes last."""
        text = job.progress.text
        if not text.startswith(self._text) or text == self._text:
            return None
        more, self._text = text[len(self._text) :], text
        return Text(more)

    def _rest(self, job: Job) -> Iterator[Event]:
        """What is left when it has ended. Raises WorkbenchError when it has no answer."""
        if job.state is not JobState.SUCCEEDED:
            raise failure_of(job.error) if job.error else BackendError(f"The chat was {job.state}.", hint="Ask again.")
        self.reply = reply = reply_of(job)
        if not reply.text.startswith(self._text):
            yield Restarted("The answer begins anew.")
            self._text = ""
        if reply.reasoning:
            yield Reasoning(reply.reasoning)
        if len(reply.text) > len(self._text):
            yield Text(reply.text[len(self._text) :])
        for index, call in enumerate(reply.tool_calls):
            yield ToolCallPiece(index, call.arguments, call.id, call.name)
        yield Done(reply.finish, reply.usage, reply.timings, reply.model)


def _stage(job: Job) -> Event | None:
    """What a chat is at before its text comes."""
    progress = job.progress
    if job.state is JobState.QUEUED and job.place is not None:
        return Waiting(job.place.position)
    if progress.node == "loading":
        return Loading(job.model)
    return Prompting(progress.value, progress.maximum or None) if progress.node == "prompt" else None
