"""One attempt of one job: its pictures in, its run on a backend, everything that came out on our disk.

Owns what each failure means: the job failed, or it goes back to the queue. Neither the queue nor the state of the job.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio

from comfy_mcp.assets import Assets
from comfy_mcp.backends import Member, Pool
from comfy_mcp.errors import (
    BackendLost,
    BackendUnavailable,
    DatabaseUnavailable,
    ExecutionFailed,
    InternalError,
    Interrupted,
    InvalidParameter,
    OutputUnreadable,
    StorageUnavailable,
    TimedOut,
    WorkbenchError,
    WorkflowRejected,
)
from comfy_mcp.jobs import FILE, GRAPH, Asset, File, Job, JobState, Output, Picture, Progress, Result, Run
from comfy_mcp.store import JobStore, Outcome

__all__ = ["JUDGED", "Again", "Attempt", "Runner", "failed"]

log = logging.getLogger(__name__)

_STORAGE_RETRIES = (1.0, 2.0, 4.0, 8.0, 16.0, *(30.0,) * 18)
"""Ten minutes for a person to make room: what came out was paid for."""

JUDGED = (ExecutionFailed, InvalidParameter, OutputUnreadable, WorkflowRejected)
"""Failures that only a backend that works can tell of."""

T = TypeVar("T")


@dataclass(slots=True)
class Attempt:
    """A leased job at ``member``, once the backends ``unload`` let go of the card.

    ``member`` is None when its backend is not there any more. ``adopted`` means an earlier process began it. ``scope``
    ends the work on it, when somebody else holds the job now. ``stops`` is how often it was told to end. ``stored`` is
    what came out and is on our disk.
    """

    job: Job
    member: Member | None
    unload: tuple[str, ...] = ()
    adopted: bool = False
    progress: Progress = field(default_factory=Progress)
    recorded: Progress = field(default_factory=Progress)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    stops: int = 0
    stored: list[tuple[Asset, bytes]] = field(default_factory=list[tuple[Asset, bytes]])

    @property
    def id(self) -> str:
        assert self.job.attempt is not None
        return self.job.attempt


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt came to nothing, for no fault of the job; ``refund`` does not count it."""

    failure: WorkbenchError
    refund: bool


def failed(job: Job, failure: WorkbenchError) -> Outcome:
    """The end of a job that cannot be made."""
    return Outcome(JobState.FAILED, error=failure.record, warnings=job.warnings)


class Runner:
    """Sees attempts through."""

    def __init__(self, store: JobStore, assets: Assets, pool: Pool) -> None:
        self._store, self._assets, self._pool = store, assets, pool

    async def run(self, attempt: Attempt, timeout: float, on_progress: Callable[[Progress], None]) -> Outcome | Again:
        """The attempt's outcome, with all its files stored.

        Raises:
            DatabaseUnavailable: what came out is still at the backend.
        """
        job, member = attempt.job, attempt.member
        if member is None:
            return Again(BackendLost(f"The backend {job.backend} is not set up any more."), refund=True)
        try:
            result = await self._result(attempt, member, timeout, on_progress)
            member.breaker.worked()
            return await self._kept(attempt, result)
        except (BackendUnavailable, BackendLost) as failure:
            return await self._lost(attempt, member, failure)
        except Interrupted as failure:
            ours = job.id in await self._store.cancel_requests()
            return Outcome(JobState.CANCELLED) if ours else failed(job, failure)
        except TimedOut as failure:
            member.breaker.stuck(failure)
            return failed(job, failure)
        except DatabaseUnavailable:
            raise
        except WorkbenchError as failure:
            if isinstance(failure, JUDGED):
                member.breaker.worked()
            return failed(job, failure)
        except Exception:
            log.exception("Job %s hit a defect.", job.id)
            return failed(job, InternalError())

    async def _result(
        self, attempt: Attempt, member: Member, timeout: float, on_progress: Callable[[Progress], None]
    ) -> Result:
        await self._pool.make_room(member, attempt.unload)
        job = attempt.job
        run = Run(attempt.id, job.bound, await self._pictures(job), job.bound.timeout or timeout)
        begin = member.backend.resume if attempt.adopted else member.backend.run
        return await begin(run, on_progress)

    async def _lost(self, attempt: Attempt, member: Member, failure: BackendLost | BackendUnavailable) -> Again:
        """The backend is gone, or forgot the attempt. What it had loaded is gone with it."""
        if isinstance(failure, BackendUnavailable):
            self._pool.unreachable(member, failure)
        await self._store.forget_card(member.config.place)
        # An adopted attempt may never have reached the backend; how often it changed hands is counted apart.
        never_began = isinstance(failure, BackendUnavailable) and not failure.details.get("reached")
        return Again(failure, refund=never_began or attempt.adopted)

    async def _pictures(self, job: Job) -> dict[str, Picture]:
        """The uploads of a job by asset id, read from our own storage."""
        pictures = dict[str, Picture]()
        for upload in job.bound.uploads:
            asset = await self._store.asset(upload.asset)
            pictures[upload.asset] = Picture(asset.name, await self._patiently(job, partial(self._assets.read, asset)))
        return pictures

    async def assure(self, attempt: Attempt) -> None:
        """The outcome is recorded: store again what was deleted right before, for another picture of the same bytes."""
        try:
            for asset, data in attempt.stored:
                await self._assets.assure(asset, data)
        except StorageUnavailable:
            log.exception("Nobody knows whether the pictures of job %s are still there.", attempt.job.id)

    async def _kept(self, attempt: Attempt, result: Result) -> Outcome:
        """Store every file before the job is called done."""
        job = attempt.job
        files = _wanted(job, result.files)
        assets = [await self._keep(job, index, file) for index, file in enumerate(files)]
        attempt.stored = [(asset, file.data) for asset, file in zip(assets, files, strict=True)]
        notices = tuple(str(output.value) for output in result.outputs if output.kind == "notice")
        outputs = [output for output in result.outputs if output.kind != "notice"]
        if job.template == GRAPH:
            # Who sent the graph asks node by node for what came out.
            outputs += [Output(file.node, FILE, asset.id) for file, asset in zip(files, assets, strict=True)]
        warnings = dict.fromkeys((*job.warnings, *notices))
        return Outcome(JobState.SUCCEEDED, assets=assets, outputs=outputs, warnings=tuple(warnings))

    async def _keep(self, job: Job, index: int, file: File) -> Asset:
        fields = {"template": job.template, "seed": job.values.get("seed", 0), "job": job.id, "index": index}
        return await self._patiently(job, partial(self._assets.keep, file.data, name_fields=fields))

    async def _patiently(self, job: Job, work: Callable[[], Awaitable[T]]) -> T:
        """Read or write a picture; a full disk or an absent bucket is waited for.

        Raises:
            Interrupted: somebody cancelled the job meanwhile.
        """
        for seconds in _STORAGE_RETRIES:
            try:
                return await work()
            except StorageUnavailable:
                log.exception("The storage refuses the pictures of job %s; trying again in %s s.", job.id, seconds)
                await anyio.sleep(seconds)
                if job.id in await self._store.cancel_requests():
                    raise Interrupted("The job was cancelled while the storage refused its pictures.") from None
        return await work()


def _wanted(job: Job, files: tuple[File, ...]) -> tuple[File, ...]:
    """What the workflow saves; its previews only when it saves nothing."""

    def previewed(file: File) -> bool:
        # A node that was expanded from another is named after it: 4.0.0.1.
        node = job.bound.graph.get(file.node) or job.bound.graph.get(file.node.partition(".")[0])
        return node is not None and node["class_type"] == "PreviewImage"

    return tuple(file for file in files if not previewed(file)) or files
