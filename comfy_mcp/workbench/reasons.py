"""Why jobs wait: what is known of a lane's backends and of the cards that these compute on, as one reason.

Pure over the pool and the queue as they are. The words are the front door's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from comfy_mcp.backends import Circuit, Member, Pool
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.store import Mode
from llm_bridge.scheduling import Batch, Lane

__all__ = ["Reason", "Why", "awaited", "reason_of"]


class Why(StrEnum):
    """``what`` is the names of the backends, the missing thing, or the models, as told for each."""

    SOON = "soon"
    """A backend is free for it."""
    BUSY = "busy"
    """The card works, with the model that it needs; ``what`` is the backend."""
    LOADS = "loads"
    """The card works with something else, and its model, ``what``, is loaded when it is done."""
    PAUSED = "paused"
    """A person paused those that could, ``what``."""
    AWAY = "away"
    """Those that could, or may have what it needs, do not answer: ``what``."""
    MISSING = "missing"
    """No backend has ``what``."""


@dataclass(frozen=True, slots=True)
class Reason:
    why: Why
    what: str = ""


def reason_of(lane: Lane, members: Sequence[Member], batches: Mapping[str, Batch]) -> Reason:
    """Why the jobs of a lane wait."""
    members = [member for member in members if not member.leaving]
    able = [member for member in members if lane.needs <= _offered(lane, member)]
    away = [member for member in able or members if member.breaker.circuit is Circuit.OPEN]
    if not able:
        return Reason(Why.AWAY, _names(away)) if away else Reason(Why.MISSING, _lacking(lane, members))
    there = [member for member in able if member not in away]
    if not there:
        return Reason(Why.AWAY, _names(away))
    active = [member for member in there if member.mode is Mode.ACTIVE]
    if not active:
        return Reason(Why.PAUSED, _names(there))
    busy = {member.config.place for member in members if member.running}
    if not all(member.config.place in busy for member in active):
        return Reason(Why.SOON)
    loaded = [member for member in active if _holds(member, lane.model, batches)]
    return Reason(Why.BUSY, _names(loaded)) if loaded else Reason(Why.LOADS, lane.model)


def awaited(job: Job, pool: Pool) -> str:
    """The backend of a running job that does not answer now, so that the job waits for it; "" when it does."""
    member = pool.find(job.backend) if job.state is JobState.RUNNING else None
    return member.name if member is not None and member.breaker.circuit is Circuit.OPEN else ""


def _holds(member: Member, model: str, batches: Mapping[str, Batch]) -> bool:
    batch = batches.get(member.config.place)
    return not model or (batch is not None and (batch.server, batch.model) == (member.name, model))


def _offered(lane: Lane, member: Member) -> frozenset[str]:
    return member.server(lane.needs).offers


def _lacking(lane: Lane, members: Iterable[Member]) -> str:
    """What the backend that comes closest lacks, in the words of those who named it."""
    lacking = min((lane.needs - _offered(lane, member) for member in members), key=len, default=lane.needs)
    return ", ".join(sorted(name.rpartition("=")[2].removeprefix("llm:") for name in lacking))


def _names(members: Iterable[Member]) -> str:
    return ", ".join(member.name for member in members)
