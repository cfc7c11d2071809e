"""What every store promises of the line of those who wait: who stands where, and how a person changes their own places.

Owns that part of the interface. A person moves their jobs among the places that these have: nobody else's turn changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from comfy_mcp.jobs import Job

__all__ = ["Lineup", "Spot", "Standing"]


class Spot(StrEnum):
    """Where a job moves, among its owner's jobs of the same priority."""

    FIRST = "first"
    LAST = "last"
    BEFORE = "before"
    """Before another one, which is named."""
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Standing:
    """A waiting job without what it is: its id, whose it is, its lane, and its place in the order of arrival."""

    job: str
    owner: str
    lane: int
    seq: int


class Lineup(Protocol):
    """Every method commits before it returns; all raise DatabaseUnavailable. ``owner`` None may touch all."""

    async def waiting(self, limit: int) -> Sequence[Standing]:
        """The waiting jobs in the order of arrival."""
        ...

    async def running(self) -> Sequence[Job]:
        """The running jobs, oldest first."""
        ...

    async def several(self, jobs: Sequence[str]) -> Sequence[Job]:
        """Those of these jobs that there are, in the order asked for."""
        ...

    async def ended(self, owner: str | None, since: float, limit: int) -> Sequence[Job]:
        """What ended after ``since`` (seconds since 1970), of what was asked for lately: last first, the cancelled ones
        after all others."""
        ...

    async def move(self, job: str, owner: str | None, spot: Spot, other: str = "") -> None:
        """Give a waiting job another of its owner's places; those between make room. It expires when it would have.

        Raises:
            NotFound: there is no such job.
            BadRequest: it, or the ``other``, does not wait any more, or they are of different owner or priority.
        """
        ...

    async def set_priority(self, job: str, owner: str | None, priority: int) -> None:
        """Give a waiting job another priority, -10 to 10. Raises as `move`."""
        ...

    async def clear(self, owner: str, *, running: bool = False) -> Sequence[str]:
        """End all waiting jobs of an owner as cancelled, and ask for the end of the ``running`` ones; their ids."""
        ...

    async def needs(self, job: str) -> frozenset[str]:
        """What a backend must offer to run a job, as `enqueue` was told; nothing where that is not known any more."""
        ...
