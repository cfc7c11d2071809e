"""Pictures as they come to be, as Server-Sent Events: some previews, then each finished picture.

Owns the events of OpenAI's images API (openai-python, types/image_gen_stream_event.py, image_edit_stream_event.py) and
what is sent meanwhile, so that no client takes silence for the end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from comfy_mcp import images
from comfy_mcp.errors import BadRequest, InternalError, WorkbenchError
from comfy_mcp.jobs import Job, JobState, Progress
from comfy_mcp.proxy.making import Maker, succeeded
from comfy_mcp.proxy.openai.images.answers import NO_TOKENS, Answers, background_of, made_by, size_of
from comfy_mcp.proxy.openai.images.requests import Look
from comfy_mcp.proxy.openai.wording import openai_failure
from comfy_mcp.proxy.packing import packed

__all__ = ["PictureStream", "StreamedPictures"]

log = logging.getLogger(__name__)

_MOST_PREVIEW, _JPEG = 2**20, ("image/jpeg",)
_COMMENT_SECONDS = 5.0

Event = dict[str, str]


class PictureStream:
    """The events of one request. ``kind`` is what their names begin with; ``partials`` previews at most."""

    def __init__(self, maker: Maker, answers: Answers, look: Look, kind: str, partials: int) -> None:
        self._maker, self._answers, self._look = maker, answers, look
        self._kind, self._partials = kind, partials
        self._sent = 0

    async def events(self, jobs: Sequence[Job]) -> AsyncGenerator[Event]:
        """Everything until the last picture, or an `error`."""
        try:
            async with aclosing(self._events(jobs)) as events:
                async for event in events:
                    yield event
        except WorkbenchError as failure:
            yield await _named("error", {"type": "error", **openai_failure(failure.record, failure.status)})
        except Exception:
            log.exception("A stream of pictures hit a defect.")
            yield await _named("error", {"type": "error", **openai_failure(InternalError().record, 500)})

    async def _events(self, jobs: Sequence[Job]) -> AsyncGenerator[Event]:
        ended: list[Job] = []
        for number, job in enumerate(jobs):
            async with aclosing(self._maker.follow(job)) as changes:
                async for job in changes:
                    due = job.state is JobState.RUNNING and self._due((number + _share(job.progress)) / len(jobs))
                    if due and (event := await self._partial(job)) is not None:
                        yield event
            ended.append(succeeded(job))
        for asset in made_by(ended):
            told = {"b64_json": await self._answers.encoded(asset), "size": size_of(asset), "usage": NO_TOKENS}
            yield await self._event("completed", ended[0], told)

    def _due(self, share: float) -> bool:
        """Whether the next preview is: they are spread over the run, which has come this far."""
        return self._sent < self._partials and share >= (self._sent + 1) / (self._partials + 1)

    async def _partial(self, job: Job) -> Event | None:
        if job.progress.preview is None:
            return None
        # A preview is no more than that: one that cannot be read is no reason to fail.
        with suppress(BadRequest):
            # ComfyUI's previews may be larger than the picture.
            most = max(int(job.values.get("width") or 0), int(job.values.get("height") or 0)) or None
            small = await images.fit(
                job.progress.preview, max_bytes=_MOST_PREVIEW, max_side=most, mime_preference=_JPEG
            )
            width, height, _ = await images.measure(small.data)
            data = await images.convert(small.data, self._look.mime)
            told = {"b64_json": data, "size": f"{width}x{height}", "partial_image_index": self._sent}
            self._sent += 1
            return await self._event("partial_image", job, told)
        return None

    async def _event(self, name: str, job: Job, told: dict[str, Any]) -> Event:
        look, kind = self._look, f"{self._kind}.{name}"
        same = {"quality": look.quality, "background": background_of(job, look), "output_format": look.format}
        return await _named(kind, {"type": kind, "created_at": int(time.time())} | same | told)


class StreamedPictures(Response):
    """Submits the jobs, then streams: what is refused is still an answer of its own, and who hangs up has left."""

    def __init__(self, submitted: AbstractAsyncContextManager[Sequence[Job]], stream: PictureStream) -> None:
        super().__init__()
        self._submitted, self._stream = submitted, stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._submitted as jobs:
            events = EventSourceResponse(self._stream.events(jobs), ping=_COMMENT_SECONDS, sep="\n")
            await events(scope, receive, send)


async def _named(name: str, told: dict[str, Any]) -> Event:
    return {"event": name, "data": (await packed(told)).decode()}


def _share(progress: Progress) -> float:
    """How far the node at work is. That of the whole graph stands still while the one paints that has previews."""
    return progress.value / progress.maximum if progress.maximum else 0.0
