"""A workflow as a chat agent: a message is its prompt, its progress comes as thought, and its picture as Markdown.

Owns what happens with a message from its arrival to the answer. What it means, says `turn`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.requests import Request

from comfy_mcp.content import job_status
from comfy_mcp.errors import BadRequest
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.proxy.asking import Asker
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker, succeeded
from comfy_mcp.proxy.openai.agent.options import options_in
from comfy_mcp.proxy.openai.agent.tasks import NO_TOKENS, side_answer
from comfy_mcp.proxy.openai.agent.turn import turn_of
from comfy_mcp.proxy.openai.agent.words import help_for, job_answer, refusal
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template
from llm_bridge.chat import ChatRequest, Done, Event, Reasoning, Text

__all__ = ["Agent"]

_EVERY_SECONDS = 2.0


class Agent:
    """The workflows of a workbench, to chat with. ``links`` are how their pictures are reached."""

    def __init__(self, workbench: Workbench, maker: Maker, links: Links) -> None:
        self._workbench, self._maker, self._links = workbench, maker, links

    async def answer(
        self, template: Template, chat: ChatRequest, asker: Asker, request: Request, *, progress: bool
    ) -> AsyncGenerator[Event]:
        """The events of the answer to the last message of a chat; with ``progress``, that comes as thought.

        What the person can mend with another message is told as the answer. Who leaves gives the job up.

        Raises:
            WorkbenchError: why it is not made.
        """
        if (aside := side_answer(chat)) is not None:
            for event in aside:
                yield event
            return
        async with AsyncExitStack() as stack:
            started = await self._started(template, chat, asker, request, stack)
            if isinstance(started, str):
                yield Text(started)
            else:
                job, prompt = started
                telling = _Telling()
                async with aclosing(self._maker.follow(job)) as changes:
                    async for job in changes:
                        if progress and (line := telling.line(job)):
                            yield Reasoning(line)
                yield Text(await job_answer(self._workbench, succeeded(job), self._links, request, prompt))
        yield Done("stop", NO_TOKENS)

    async def _started(
        self, template: Template, chat: ChatRequest, asker: Asker, request: Request, stack: AsyncExitStack
    ) -> tuple[Job, str] | str:
        """The job and the words that ask for it; or what there is to say instead."""
        edits = False
        try:
            turn = await turn_of(template, chat.messages, self._workbench, asker.owner)
            template, edits = turn.template, turn.edits
            options = options_in(turn.message.text, template)
            if options.help:
                return help_for(self._workbench, template)
            asked = turn.request(options, asker)
            pictures = turn.sending(asked, self._workbench)
            (job,) = await stack.enter_async_context(self._maker.jobs([asked], request, pictures))
        except BadRequest as failure:
            return refusal(failure, template, edits=edits)
        return job, options.prompt


class _Telling:
    """How far a job is, in lines that are not too many: chats keep them all."""

    def __init__(self) -> None:
        self._last, self._at = "", 0.0
        self._state: JobState | None = None

    def line(self, job: Job) -> str:
        """What is new, "" when it is not worth a line."""
        now, status = time.monotonic(), job_status(job)
        if job.state.terminal or status == self._last or (job.state == self._state and now - self._at < _EVERY_SECONDS):
            return ""
        self._last, self._state, self._at = status, job.state, now
        return f"{status}\n"
