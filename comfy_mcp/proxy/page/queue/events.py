"""The queue as it changes, for one browser: Server-Sent Events of what is new, at most a few times a second.

Owns what that browser was sent. The first event says all there is, so that a browser that was away comes up to date.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio

from comfy_mcp.jobs import Job
from comfy_mcp.proxy.page.queue.changes import changed, limited
from comfy_mcp.proxy.page.queue.shown import LISTS, Reader, Shown
from comfy_mcp.workbench import Workbench

__all__ = ["FIRST", "events"]

FIRST = 40
"""How many waiting jobs come at once; the next ones follow, so that nobody's screen or server stands still."""
_LOOK_SECONDS, _APART_SECONDS, _NEXT_SECONDS = 0.5, 0.25, 0.05


async def events(workbench: Workbench, reader: Reader) -> AsyncGenerator[dict[str, str]]:
    """Everything, then what changes, until the reader goes."""
    sent = _Sent(reader)
    async with workbench.line.watching() as work:
        while True:
            told = await sent.news(await reader.look())
            if told:
                yield {"event": "change", "data": json.dumps(told)}
            if sent.more:
                await anyio.sleep(_NEXT_SECONDS)
                continue
            began = time.monotonic()
            await work.wait(_LOOK_SECONDS)
            await anyio.sleep(max(0.0, began + _APART_SECONDS - time.monotonic()))


class _Sent:
    """What a browser has. ``more`` is to come at once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lists: dict[str, dict[str, str]] = {name: {} for name in LISTS}
        self._told: dict[str, dict[str, Any]] = {"texts": {}, "why": {}, "starts": {}}
        self._progress: dict[str, Any] = {}
        self._steps: dict[str, str] = {}
        self._first = True
        self.more = False

    async def news(self, shown: Shown) -> dict[str, Any]:
        """What is new since the last time; nothing when nothing is."""
        lists = {name: change for name in LISTS if (change := await self._changed(name, shown))}
        told: dict[str, Any] = {"lists": lists} if lists else {}
        for name, now in (("texts", shown.texts), ("why", shown.why), ("starts", self._sent_starts(shown))):
            if new := _new(self._told[name], now):
                told[name] = new
            self._told[name] = dict(now)
        if progress := self._progressed(shown):
            told["progress"] = progress
        if self._first:
            # What is on the screen from before, and is no more, goes.
            told["all"] = {name: list(shown.lists[name]) for name in LISTS}
            self._first = False
        return told

    async def _changed(self, name: str, shown: Shown) -> dict[str, Any] | None:
        before, wanted = self._lists[name], shown.lists[name]
        keys = limited(list(wanted), before, FIRST)
        gone, put = changed(before, {key: wanted[key] for key in keys})
        drawn = await self._reader.drawn(name, [key for key, _, anew in put if anew], shown)
        # What ended while it was drawn comes, or goes, with the next look.
        kept = {key: wanted[key] for key in keys if key in before or key in drawn}
        self._lists[name] = kept
        if name == "waiting":
            self.more = len(kept) < len(wanted)
        told = [
            [key, after, wanted[key], drawn.get(key)]
            for key, after, anew in put
            if key in kept and (key in drawn or not anew)
        ]
        return {"gone": gone, "put": told} if gone or told else None

    def _sent_starts(self, shown: Shown) -> dict[str, str]:
        """Of the jobs that are on the screen; one whose start is not foreseen any more says nothing."""
        return {
            job: shown.starts.get(job, "")
            for job in self._lists["waiting"]
            if job in shown.starts or job in self._told["starts"]
        }

    def _progressed(self, shown: Shown) -> dict[str, Any]:
        now = {job.id: job for job in shown.running}
        steps = {key: self._reader.step(job) for key, job in now.items()}
        new = {
            key: self._step(job, steps[key])
            for key, job in now.items()
            if self._progress.get(key) != job.progress or self._steps.get(key) != steps[key]
        }
        self._progress, self._steps = {key: job.progress for key, job in now.items()}, steps
        return new

    def _step(self, job: Job, step: str) -> dict[str, Any]:
        at, before = job.progress, self._progress.get(job.id)
        told: dict[str, Any] = {"done": at.fraction, "step": step, "text": at.text[-400:]}
        mine = job.owner == self._reader.owner
        if mine and at.preview is not None and (before is None or before.preview is not at.preview):
            told["preview"] = "data:image/jpeg;base64," + base64.b64encode(at.preview).decode()
        return told


def _new(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in now.items() if before.get(key) != value}
