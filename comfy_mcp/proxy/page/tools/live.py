"""A run while it goes on, as Server-Sent Events for the page: what to say of it, how far it is, and its preview.

Owns the sentences. What has ended, the page fetches as a piece.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from comfy_mcp.jobs import Job, JobState
from comfy_mcp.texts import CHAT
from comfy_mcp.ui import Words, to_say
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.reasons import Why, awaited

__all__ = ["events_of", "said_of"]

_STAGES = {
    "loading": to_say("Loading the model."),
    "prompt": to_say("Reading the prompt."),
    "reasoning": to_say("Thinking."),
    "text": to_say("Writing."),
}
_WHY = {
    Why.AWAY: to_say("It waits for %(what)s, which does not answer. It starts as soon as that is back."),
    Why.PAUSED: to_say("It waits: %(what)s is paused."),
    Why.MISSING: to_say("It waits: no backend has %(what)s."),
}
_MINUTE = 60


async def events_of(workbench: Workbench, job: str, owner: str, words: Words) -> AsyncGenerator[dict[str, str]]:
    """`progress` with every change, then one `end`."""
    async with aclosing(workbench.follow(job, owner)) as changes:
        async for current in changes:
            if current.state.terminal:
                yield {"event": "end", "data": "{}"}
            else:
                yield {"event": "progress", "data": json.dumps(await _told(workbench, current, words))}


async def _told(workbench: Workbench, job: Job, words: Words) -> dict[str, Any]:
    at = job.progress
    told: dict[str, Any] = {"said": await said_of(workbench, job, words), "state": job.state, "fraction": at.fraction}
    if at.text:
        told["text"] = at.text
    if at.preview is not None and job.state is JobState.RUNNING:
        told["preview"] = "data:image/jpeg;base64," + base64.b64encode(at.preview).decode()
    return told


async def said_of(workbench: Workbench, job: Job, words: Words) -> str:
    """How it is with a job that has not ended, in a sentence."""
    if job.state is JobState.QUEUED:
        return f"{await _waits(workbench, job, words)} {_starts_in(job, words)}".strip()
    if what := awaited(job, workbench.pool):
        return words("%(what)s does not answer; the job waits for it.", what=what)
    if job.attempts > 1:
        return f"{words('Started again, try %(number)s.', number=job.attempts)} {_goes(job, words)}"
    return _goes(job, words)


def _goes(job: Job, words: Words) -> str:
    at = job.progress
    if job.template == CHAT:
        return words(_STAGES.get(at.node, to_say("Asking the model.")))
    if at.maximum > 1:
        return words("Step %(value)s of %(maximum)s", value=at.value, maximum=at.maximum)
    return words("It runs.")


async def _waits(workbench: Workbench, job: Job, words: Words) -> str:
    """Why it waits, and behind how many."""
    seen = await workbench.line.look()
    lane = next((standing.lane for standing in seen.waiting if standing.job == job.id), None)
    reason = seen.reasons.get(lane) if lane is not None else None
    if reason is not None and reason.why in _WHY:
        return words(_WHY[reason.why], what=reason.what)
    if job.place is None or job.place.position == 0:
        return words("It is next, and starts when there is room.")
    if job.place.position == 1:
        return words("One job starts before it.")
    return words("%(number)s jobs start before it.", number=job.place.position)


def _starts_in(job: Job, words: Words) -> str:
    seconds = job.place.starts_in if job.place is not None else None
    if not seconds or seconds < 1:
        return ""
    if seconds < 2 * _MINUTE:
        return words("It starts in about %(seconds)s s.", seconds=round(seconds))
    return words("It starts in about %(minutes)s min.", minutes=round(seconds / _MINUTE))
