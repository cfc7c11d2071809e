"""What every job store promises. A second implementation passes the same contract tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import Asset, BoundWorkflow, Job, JobState, Output, Progress

__all__ = ["Idempotency", "JobStore", "NewJob", "Outcome"]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is accepted: validated and bound, so that it runs as accepted even if its template changes."""

    owner: str
    template: str
    style: str | None
    bound: BoundWorkflow
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The caller's key, scoped by the store to owner and template, and a fingerprint of what was asked for."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: succeeded with assets and outputs, failed with an error, or cancelled."""

    state: JobState
    assets: Sequence[Asset] = ()
    outputs: Sequence[Output] = ()
    error: ErrorRecord | None = None
    warnings: Sequence[str] = ()


class JobStore(Protocol):
    """Jobs and the records of assets. Every method commits before it returns; all raise StorageUnavailable."""

    async def enqueue(self, new: NewJob, idempotency: Idempotency | None = None) -> Job:
        """Put a job on disk as queued and return it, or the job an earlier call with the same key made.

        Raises:
            Conflict: the key was used for another request.
            Overloaded: too many jobs wait.
        """
        ...

    async def get(self, job: str, owner: str | None = None) -> Job:
        """The job. Raises NotFound, also when it is somebody else's; ``owner`` None sees all."""
        ...

    async def list(self, owner: str | None = None, *, limit: int = 50, before: str | None = None) -> Sequence[Job]:
        """The newest jobs first; ``before`` is the id of the last job of the page before."""
        ...

    async def position(self, job: str) -> int:
        """How many queued or running jobs are ahead of this one; 0 when none is, or when it is not queued."""
        ...

    async def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a queued job as cancelled; ask for the end of a running one; leave an ended one. Raises NotFound."""
        ...

    async def lease(self, attempt: str) -> Job | None:
        """Give the oldest queued job to a new attempt and count it, or None. ``attempt`` is the fencing token."""
        ...

    async def running(self) -> Sequence[Job]:
        """The jobs that some attempt holds."""
        ...

    async def cancel_requests(self) -> frozenset[str]:
        """Ids of running jobs that somebody asked to cancel."""
        ...

    async def record_progress(self, job: str, attempt: str, progress: Progress) -> None:
        """Keep how far an attempt is (without its preview), for other processes. Ignored for a stale attempt."""
        ...

    async def release(self, job: str, attempt: str, *, refund: bool = False) -> bool:
        """Put a running job back in the queue at its old place; False for a stale attempt.

        ``refund`` does not count the attempt: nothing was started.
        """
        ...

    async def finish(self, job: str, attempt: str, outcome: Outcome) -> bool:
        """Record assets and the terminal state in one transaction; False, and nothing, for a stale attempt."""
        ...

    async def add_asset(self, owner: str, asset: Asset) -> None:
        """Record an uploaded asset."""
        ...

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        """The record of an asset. Raises NotFound, also when it is somebody else's."""
        ...
