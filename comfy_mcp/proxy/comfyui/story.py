"""One job told to a socket, change by change, as ComfyUI would: the node at work, its steps, its previews, the end.

Pure. Owns what was told already. The messages are those of server.py and execution.py of ComfyUI 0.3.64.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from comfy_mcp.jobs import Job, JobState, Progress
from comfy_mcp.proxy.comfyui.shapes import Event, ending, started

__all__ = ["Message", "Story", "spoken"]

Message = str | bytes
"""JSON, or a picture with eight bytes before it."""

_PREVIEW = 1
_FORMATS = ((b"\xff\xd8\xff", 1), (b"\x89PNG", 2))
_MOST_PREVIEW = 2**20


def spoken(event: Event) -> str:
    """An event as it goes over the socket."""
    kind, data = event
    return json.dumps({"type": kind, "data": data})


class Story:
    """What was told of one job so far."""

    def __init__(self) -> None:
        self._begun = False
        self._told = Progress()

    def of(self, job: Job) -> Iterator[Message]:
        """The messages since the last call."""
        if job.state is JobState.QUEUED:
            return
        if not self._begun:
            self._begun = True
            yield from map(spoken, started(job))
        if job.state.terminal:
            yield from map(spoken, ending(job))
        else:
            yield from self._progressed(job)

    def _progressed(self, job: Job) -> Iterator[Message]:
        before, now = self._told, job.progress
        self._told = now
        if now.node and now.node != before.node:
            yield spoken(("executing", {"node": now.node, "display_node": now.node, "prompt_id": job.id}))
        if now.maximum and (now.node, now.value, now.maximum) != (before.node, before.value, before.maximum):
            step = {"value": now.value, "max": now.maximum, "prompt_id": job.id, "node": now.node}
            yield spoken(("progress", step))
        if now.preview is not None and now.preview is not before.preview:
            yield from _frame(now.preview)


def _frame(preview: bytes) -> Iterator[bytes]:
    """The event and the format as two big-endian numbers, then the picture; only JPEG and PNG can be told."""
    found = next((number for magic, number in _FORMATS if preview.startswith(magic)), None)
    if found is not None and len(preview) <= _MOST_PREVIEW:
        yield struct.pack(">II", _PREVIEW, found) + preview
