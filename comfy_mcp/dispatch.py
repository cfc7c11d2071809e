"""The one loop: lease a job, run it on the backend, commit what came out.

Owns the running attempts and nothing durable: killed at any moment, the next dispatcher finds every job in the store.
Used by workbench; one dispatcher at a time works on a data folder.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from comfy_mcp.assets import Assets
from comfy_mcp.backends import Backend
from comfy_mcp.comfyui import ComfyUI, File, Picture, Result, Run, execute, resume
from comfy_mcp.errors import (
    BackendLost,
    BackendUnavailable,
    InternalError,
    Interrupted,
    StorageUnavailable,
    WorkbenchError,
)
from comfy_mcp.jobs import Asset, Job, JobState, Progress
from comfy_mcp.store import JobStore, Outcome
from comfy_mcp.watch import Board, Watcher

__all__ = ["Dispatcher", "Limits"]

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_PROGRESS_SECONDS = 1.0
_STORAGE_RETRIES = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """``timeout`` seconds per attempt, ``attempts`` per job, ``concurrency`` jobs at a time on the backend."""

    timeout: float = 1800.0
    attempts: int = 2
    concurrency: int = 1


@dataclass(slots=True)
class _Attempt:
    job: Job
    id: str
    progress: Progress = field(default_factory=Progress)
    recorded: Progress = field(default_factory=Progress)


class _How(Protocol):
    def __call__(self, comfy: ComfyUI, run: Run, *, on_progress: Callable[[Progress], None]) -> Awaitable[Result]: ...


class Dispatcher:
    """Runs queued jobs until it is cancelled. A job that is running then stays running, for the next dispatcher."""

    def __init__(self, store: JobStore, assets: Assets, backend: Backend, board: Board, limits: Limits) -> None:
        self._store = store
        self._assets = assets
        self._backend = backend
        self._board = board
        self._limits = limits
        self._free = anyio.Semaphore(limits.concurrency)
        self._running: dict[str, _Attempt] = {}

    async def run(self) -> None:
        """Take up what an earlier dispatcher left running, then lease job after job."""
        with self._board.watching_work() as work:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._heed_cancels)
                tasks.start_soon(self._record_progress)
                for job in await self._store.running():
                    await self._free.acquire()
                    tasks.start_soon(self._work, job, resume)
                while True:
                    await self._free.acquire()
                    await self._start_next(work, tasks)

    async def _start_next(self, work: Watcher, tasks: TaskGroup) -> None:
        while True:
            await self._backend.until_up()
            job = await self._lease()
            if job is not None:
                tasks.start_soon(self._work, job, execute)
                return
            # The notice of a job that another process queued does not reach this board.
            await work.wait(_POLL_SECONDS)

    async def _lease(self) -> Job | None:
        try:
            return await self._store.lease(str(uuid4()))
        except StorageUnavailable:
            log.exception("The job database refuses; trying again.")
            await anyio.sleep(_STORAGE_RETRIES[0])
            return None

    async def _work(self, job: Job, how: _How) -> None:
        assert job.attempt is not None
        attempt = self._running[job.id] = _Attempt(job, job.attempt)
        self._board.post(job.id)
        outcome: Outcome | None = None
        try:
            outcome = await self._outcome(attempt, how)
            if outcome is not None:
                await self._commit(attempt, outcome)
        except StorageUnavailable:
            # The job stays "running" on disk: the next start of the dispatcher takes it up again.
            log.exception("Job %s cannot be recorded.", job.id)
            outcome = None
        finally:
            del self._running[job.id]
            self._free.release()
            self._board.forget(job.id)
        if outcome is not None:
            await self._tidy_up(attempt)

    async def _outcome(self, attempt: _Attempt, how: _How) -> Outcome | None:
        """Run the attempt to its end; None when the job is back in the queue."""
        job = attempt.job
        try:
            timeout = job.bound.timeout or self._limits.timeout
            run = Run(attempt.id, job.bound, await self._pictures(job), timeout)
            result = await how(self._backend.client, run, on_progress=partial(self._progressed, attempt))
            return await self._kept(job, result)
        except BackendUnavailable as failure:
            self._backend.failure = failure
            return await self._again(attempt, failure, refund=not failure.details.get("submitted"))
        except BackendLost as failure:
            return await self._again(attempt, failure)
        except Interrupted as failure:
            ours = job.id in await self._store.cancel_requests()
            return Outcome(JobState.CANCELLED) if ours else _failed(job, failure)
        except WorkbenchError as failure:
            return _failed(job, failure)
        except Exception:
            log.exception("Job %s hit a defect.", job.id)
            return _failed(job, InternalError())

    async def _again(self, attempt: _Attempt, failure: WorkbenchError, *, refund: bool = False) -> Outcome | None:
        if attempt.job.attempts >= self._limits.attempts and not refund:
            return _failed(attempt.job, failure)
        log.warning("Job %s goes back to the queue: %s", attempt.job.id, failure)
        await self._store.release(attempt.job.id, attempt.id, refund=refund)
        return None

    async def _pictures(self, job: Job) -> dict[str, Picture]:
        """The uploads of a job by asset id, read from our own storage."""
        pictures = dict[str, Picture]()
        for upload in job.bound.uploads:
            asset = await self._store.asset(upload.asset)
            pictures[upload.asset] = Picture(asset.name, await self._assets.read(asset))
        return pictures

    async def _kept(self, job: Job, result: Result) -> Outcome:
        """Store every file before the job is called done."""
        assets = [await self._keep(job, index, file) for index, file in enumerate(_wanted(job, result.files))]
        notices = tuple(str(output.value) for output in result.outputs if output.kind == "notice")
        outputs = [output for output in result.outputs if output.kind != "notice"]
        warnings = dict.fromkeys((*job.warnings, *notices))
        return Outcome(JobState.SUCCEEDED, assets=assets, outputs=outputs, warnings=tuple(warnings))

    async def _keep(self, job: Job, index: int, file: File) -> Asset:
        """Store one file; a full disk or an absent bucket is waited for, for half a minute."""
        fields = {"template": job.template, "seed": job.values.get("seed", 0), "job": job.id, "index": index}
        for seconds in _STORAGE_RETRIES:
            try:
                return await self._assets.keep(file.data, name_fields=fields)
            except StorageUnavailable:
                log.exception("The pictures of job %s cannot be stored; trying again in %s s.", job.id, seconds)
                await anyio.sleep(seconds)
        return await self._assets.keep(file.data, name_fields=fields)

    async def _commit(self, attempt: _Attempt, outcome: Outcome) -> None:
        if not await self._store.finish(attempt.job.id, attempt.id, outcome):
            log.warning("Attempt %s of job %s came too late and was not recorded.", attempt.id, attempt.job.id)

    async def _tidy_up(self, attempt: _Attempt) -> None:
        """Delete ComfyUI's own record: not before the outcome is on disk, since a restart finds the job by it."""
        try:
            await self._backend.client.delete_history(attempt.id)
        except WorkbenchError as failure:
            log.info("ComfyUI keeps its own record of attempt %s: %s", attempt.id, failure)

    def _progressed(self, attempt: _Attempt, progress: Progress) -> None:
        attempt.progress = progress
        self._board.post_progress(attempt.job.id, progress)

    async def _record_progress(self) -> None:
        """Once a second, for those who watch from another process."""
        while True:
            await anyio.sleep(_PROGRESS_SECONDS)
            for attempt in list(self._running.values()):
                if attempt.progress is attempt.recorded:
                    continue
                attempt.recorded = attempt.progress
                try:
                    await self._store.record_progress(attempt.job.id, attempt.id, attempt.recorded)
                except StorageUnavailable:
                    log.exception("Progress of job %s is not recorded.", attempt.job.id)

    async def _heed_cancels(self) -> None:
        """Stop the running jobs that somebody asked to cancel; repeated until each has ended.

        Repeated because a cancel can arrive before the prompt does, when ComfyUI has nothing to stop yet.
        """
        with self._board.watching_work() as work:
            while True:
                await work.wait(_POLL_SECONDS)
                if not self._running:
                    continue
                try:
                    for job in await self._store.cancel_requests():
                        if (attempt := self._running.get(job)) is not None:
                            await self._backend.client.cancel(attempt.id)
                except WorkbenchError as failure:
                    log.warning("A cancel did not reach ComfyUI and is tried again: %s", failure)


def _failed(job: Job, failure: WorkbenchError) -> Outcome:
    return Outcome(JobState.FAILED, error=failure.record, warnings=job.warnings)


def _wanted(job: Job, files: tuple[File, ...]) -> tuple[File, ...]:
    """What the workflow saves; its previews only when it saves nothing."""
    saved = tuple(file for file in files if job.bound.graph[file.node]["class_type"] != "PreviewImage")
    return saved or files
