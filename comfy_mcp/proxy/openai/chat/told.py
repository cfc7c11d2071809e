"""How an answer reaches its client: as Server-Sent Events while it comes, or whole.

Owns what keeps a connection alive, when the headers go, and where a failure is told. Of both kinds of answers: those of
language models and those of workflows.

The headers of a stream go with its first token, or as soon as the client is known to wait: for others, for a model that
loads, or for a second. A failure before that is an HTTP status, and one after it an event `error`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from comfy_mcp.errors import InternalError, WorkbenchError
from comfy_mcp.proxy.making import until_gone
from comfy_mcp.proxy.openai.chat.chunks import DONE, Chunks, comment, completion_body, failed_event, text_of
from comfy_mcp.proxy.openai.wording import openai_failure
from comfy_mcp.tasks import background
from comfy_mcp.workbench.streams import Answer
from llm_bridge.chat import Event, Loading, Prompting, Reasoning, Reply, Text, ToolCallPiece, Transcript, Waiting

__all__ = ["MadeHere", "Opened", "Streamed", "made_here", "whole"]

log = logging.getLogger(__name__)

Opened = Callable[[], AbstractAsyncContextManager[Answer]]
"""Asks, and gives the answer; leaving the block early ends it."""

_PATIENCE_SECONDS = 1.0
_BEAT_SECONDS = 5.0


class MadeHere:
    """An answer that is made of events here, by nobody's server."""

    server = "comfyui-workbench"
    because = ""

    def __init__(self, model: str, events: AsyncGenerator[Event]) -> None:
        self.model = model
        self._events, self._transcript = events, Transcript()

    @property
    def reply(self) -> Reply:
        return self._transcript.reply

    def __aiter__(self) -> MadeHere:
        return self

    async def __anext__(self) -> Event:
        event = await anext(self._events)
        self._transcript.add(event)
        return event


@asynccontextmanager
async def made_here(model: str, events: AsyncGenerator[Event]) -> AsyncGenerator[Answer]:
    """The answer that these events are."""
    async with aclosing(events):
        yield MadeHere(model, events)


async def whole(request: Request, opened: Opened) -> Response:
    """The answer when it is whole. Who hangs up before ends it.

    Raises:
        ClientDisconnect: nobody waits any more.
        WorkbenchError: as opening and iterating do.
    """
    async with until_gone(request):
        async with opened() as answer:
            async for _ in answer:
                pass
        told = _told(answer)
        headers = _names(answer)
        if told["queued"] is not None:
            headers["X-Workbench-Queued"] = f"{told['queued']:.3f}"
        return JSONResponse(completion_body(answer.reply, _full_name(answer), told), headers=headers)
    raise ClientDisconnect


class Streamed(Response):
    """The answer as it comes. ``usage`` tells the tokens at the end; ``held`` keeps the text back until it is whole.

    What a model writes and takes back cannot be unsent: an answer that must fit a schema, and may be asked for twice,
    is held. Of others the text stays that turned out to be thought, and comes once more as that.
    """

    def __init__(self, request: Request, opened: Opened, *, usage: bool, held: bool) -> None:
        self.status_code = 200
        self.background = None
        self._request, self._opened = request, opened
        self._usage, self._held = usage, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out = _Out(send)
        try:
            async with until_gone(self._request), background() as tasks:
                tasks.start_soon(out.beat)
                async with self._opened() as answer:
                    out.answer = answer
                    await self._tell(answer, out)
        except WorkbenchError as failure:
            if not out.begun:
                raise
            await out.fail(failure)
        except Exception:
            if not out.begun:
                raise
            log.exception("A stream hit a defect.")
            await out.fail(InternalError())
        if out.begun:
            await out.end()

    async def _tell(self, answer: Answer, out: _Out) -> None:
        chunks: Chunks | None = None
        async for event in answer:
            if isinstance(event, Waiting | Loading | Prompting):
                await out.wait(event)
                continue
            # Who answers is only certain now.
            chunks = chunks or Chunks(_full_name(answer), usage=self._usage)
            match event:
                case Text(text) if not self._held:
                    await out.write(chunks.text(text))
                case Reasoning(text):
                    await out.write(chunks.reasoning(text))
                case ToolCallPiece():
                    await out.write(chunks.call(event))
                case _:
                    pass
        reply = answer.reply
        chunks = chunks or Chunks(_full_name(answer), usage=self._usage)
        last = chunks.text(text_of(reply)) if self._held and reply.text else b""
        last += chunks.finish(reply)
        await out.write(last + (chunks.usage(reply, _told(answer)) if self._usage else b"") + DONE)


class _Out:
    """What goes out, and the comments while nothing does."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._quiet_since = anyio.current_time()
        self._waits = ""
        self.answer: Answer | None = None
        self.begun = False

    async def write(self, data: bytes) -> None:
        if not self.begun:
            self.begun = True
            names = {} if self.answer is None else _names(self.answer)
            headers = {"Content-Type": "text/event-stream; charset=utf-8", **_UNBUFFERED, **names}
            raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": raw})
        self._quiet_since = anyio.current_time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def wait(self, event: Waiting | Loading | Prompting) -> None:
        """Tell what is waited for, once; a client that will not have to wait is not told."""
        match event:
            case Waiting(ahead):
                told = f"waiting, {ahead} before it" if ahead else "waiting"
            case Loading(model):
                told = f"loading {model}"
            case Prompting():
                told = "reading the prompt"
        if told != self._waits:
            self._waits = told
            if self.begun or isinstance(event, Loading) or (isinstance(event, Waiting) and event.ahead):
                await self.write(comment(told))

    async def beat(self) -> None:
        await anyio.sleep(_PATIENCE_SECONDS)
        if not self.begun:
            await self.write(comment(self._waits or "waiting"))
        while True:
            left = self._quiet_since + _BEAT_SECONDS - anyio.current_time()
            if left <= 0:
                await self.write(comment("still waiting"))
            await anyio.sleep(max(left, 0.1))

    async def fail(self, failure: WorkbenchError) -> None:
        await self.write(failed_event(openai_failure(failure.record, failure.status)))

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


_UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def _names(answer: Answer) -> dict[str, str]:
    return {"X-Workbench-Server": _header(answer.server), "X-Workbench-Model": _header(answer.model)}


def _full_name(answer: Answer) -> str:
    """What can be asked for the next time."""
    return answer.model if isinstance(answer, MadeHere) else f"{answer.server}/{answer.model}"


def _told(answer: Answer) -> dict[str, Any]:
    """What we know of an answer beyond OpenAI's fields; seconds."""
    metrics = answer.reply.metrics
    return {
        "server": answer.server,
        "model": answer.model,
        "because": answer.because,
        "queued": metrics.queued,
        "load": metrics.load,
        "ttft": metrics.ttft,
        "seconds": metrics.seconds,
        "tokens_per_second": answer.reply.tokens_per_second,
        "notes": list(answer.reply.notes),
    }


def _header(name: str) -> str:
    """A name as a header can hold it: what is not ASCII is percent-encoded."""
    return quote(name, safe="/:@!$&'()*+,;=[]{} ")
