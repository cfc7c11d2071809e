"""Jobs for clients that wait for them: submit, follow to the end, and give up what nobody waits for any more.

Owns what a hang-up and a retry mean. A client that comes back within a few seconds with the same request gets the job
that it left, and so does one that says that it retries, or that it is once and for all the same (Idempotency-Key);
whoever else asks the same gets a job of their own.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.requests import ClientDisconnect, Request

from comfy_mcp.errors import BackendUnavailable, ErrorRecord, InternalError, failure_of
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.proxy.pictures import Sending, completed
from comfy_mcp.tasks import background
from comfy_mcp.workbench import Workbench

__all__ = ["Maker", "only_known", "succeeded", "until_gone"]

log = logging.getLogger(__name__)

_GRACE_SECONDS = 5.0
_RETRY = "x-stainless-retry-count"
"""A header of OpenAI's clients: "0" with the first try."""


@dataclass(slots=True)
class _Group:
    """The jobs of one request. ``waiting`` clients wait for them now; ``left`` counts those that did before.

    ``succeeded`` are those of which somebody who waited was told so; ``failed`` when one was told to have ended
    otherwise. ``kept`` go on when nobody waits.
    """

    mark: str
    jobs: tuple[str, ...]
    owner: str
    kept: bool
    waiting: int = 0
    left: int = 0
    succeeded: set[str] = field(default_factory=set[str])
    failed: bool = False

    def see(self, job: Job) -> None:
        """Somebody who waits is told of the job as it is now."""
        if job.state is JobState.SUCCEEDED:
            self.succeeded.add(job.id)
        elif job.state.terminal:
            self.failed = True

    @property
    def served(self) -> bool:
        """Whether all succeeded while somebody waited: only a retry gets those once more."""
        return self.succeeded.issuperset(self.jobs)


class Maker:
    """Use it within `run`. Each front door has one of its own, and knows by it which jobs are its own."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._latest: dict[str, tuple[str, ...]] = {}
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        async with background() as tasks:
            self._tasks = tasks
            yield

    def waited_for(self, owner: str) -> list[str]:
        """The jobs of this owner that clients of this front door wait for, oldest first; also those that a client left
        a moment ago."""
        groups = self._groups.items()
        return [job for jobs, group in groups if group.owner == owner and not group.served for job in jobs]

    @asynccontextmanager
    async def jobs(
        self, asked: Sequence[JobRequest], request: Request, sending: Sending | None = None
    ) -> AsyncGenerator[list[Job]]:
        """Submit these requests together, with the pictures that are ``sending``; `follow` them in the block. Who
        leaves it before the jobs ended has given them up.

        Who sends an Idempotency-Key will ask again with it: their jobs go on. Raises as `Workbench.submit`.
        """
        key, owner = request.headers.get("idempotency-key"), asked[0].owner
        async with completed(self._workbench, asked, sending) as ready:
            mark = _fingerprint(ready, request.url.path, key)
            jobs = self._joined(mark, again=key is not None or _retries(request))
            if jobs is None:
                jobs = await self._submitted(ready, key)
                self._latest[mark] = jobs
        group = self._groups.setdefault(jobs, _Group(mark, jobs, owner, kept=key is not None))
        group.waiting += 1
        try:
            yield [await self._workbench.job(job, owner) for job in jobs]
        finally:
            group.waiting -= 1
            group.left += 1
            if not group.waiting and self._tasks is not None:
                self._tasks.start_soon(self._left, group, group.left)

    async def follow(self, job: Job) -> AsyncGenerator[Job]:
        """As `Workbench.follow`, for whom `jobs` gave the job."""
        async with aclosing(self._workbench.follow(job.id, job.owner)) as changes:
            async for job in changes:
                # Before its client leaves, so that nobody else is taken for that one come back.
                for group in self._groups.values():
                    if job.id in group.jobs:
                        group.see(job)
                yield job

    async def make(self, asked: Sequence[JobRequest], request: Request, sending: Sending | None = None) -> list[Job]:
        """The jobs when all succeeded.

        Raises:
            ClientDisconnect: nobody waits any more.
            WorkbenchError: as `Workbench.submit`, and why a job did not succeed.
        """
        async with until_gone(request, self._workbench.ending), self.jobs(asked, request, sending) as jobs:
            return [await self._ended(job) for job in jobs]
        if self._workbench.ending.is_set():
            raise BackendUnavailable(
                "The workbench is being stopped or restarted.", hint="Its jobs go on after that. Ask again in a moment."
            )
        raise ClientDisconnect

    async def _ended(self, job: Job) -> Job:
        async with aclosing(self.follow(job)) as changes:
            async for current in changes:
                job = current
        return succeeded(job)

    def _joined(self, mark: str, *, again: bool) -> tuple[str, ...] | None:
        """The jobs of an earlier request that this one is, or may be, the same as."""
        jobs = self._latest.get(mark)
        group = self._groups.get(jobs) if jobs is not None else None
        if group is None or group.failed:
            return None
        return jobs if again or not (group.waiting or group.served) else None

    async def _submitted(self, asked: Sequence[JobRequest], key: str | None) -> tuple[str, ...]:
        """All of them or none: of those before one that is refused, none is left."""
        made: list[str] = []
        try:
            for number, each in enumerate(asked):
                once = key if key is None or number == 0 else f"{key}-{number}"
                made.append((await self._workbench.submit(each, once)).id)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._given_up(made)
            raise
        return tuple(made)

    async def _left(self, group: _Group, left: int) -> None:
        """Nobody waits: give the client time to come back, then forget the jobs, and give up those that still run."""
        # What failed is made anew when it is asked for again.
        if not group.failed:
            await anyio.sleep(_GRACE_SECONDS)
        if group.waiting or group.left != left:
            return
        del self._groups[group.jobs]
        if self._latest.get(group.mark) == group.jobs:
            del self._latest[group.mark]
        if not (group.kept or group.served) and self._workbench.drops_abandoned:
            await self._given_up(group.jobs)

    async def _given_up(self, jobs: Sequence[str]) -> None:
        for job in jobs:
            try:
                # One that has ended stays as it is.
                await self._workbench.cancel(job)
            except Exception:
                # It would end the task that all front doors live in.
                log.warning("A job that nobody waits for could not be cancelled.", exc_info=True)


def succeeded(job: Job) -> Job:
    """The job, if it succeeded. Raises WorkbenchError with what it failed of."""
    if job.state is JobState.SUCCEEDED:
        return job
    if job.state is JobState.CANCELLED:
        raise failure_of(ErrorRecord("interrupted", "The job was cancelled.", "Ask again if that was not meant."))
    raise failure_of(job.error or InternalError().record)


@asynccontextmanager
async def until_gone(request: Request, ending: anyio.Event | None = None) -> AsyncGenerator[None]:
    """Cancel the block when the client hangs up, or when we are ``ending``; its body must have been read. What follows
    the block runs then."""
    async with background() as tasks:

        async def heed(ending: anyio.Event) -> None:
            await ending.wait()
            tasks.cancel_scope.cancel()

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        if ending is not None:
            tasks.start_soon(heed, ending)
        yield


def only_known(workbench: Workbench, template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that the template has a parameter for; front ends with a form of their own send them all.

    Raises:
        NotFound: no such template.
    """
    known = workbench.catalogue.get(template).parameters
    return {name: value for name, value in values.items() if name in known and value is not None}


def _retries(request: Request) -> bool:
    return request.headers.get(_RETRY, "0").strip() not in ("", "0")


def _fingerprint(asked: Sequence[JobRequest], path: str, key: str | None) -> str:
    told = [replace(each, values={}, standing={}, free=frozenset(), asked=None) for each in asked]
    values = [
        [dict(each.values if each.asked is None else each.asked), dict(each.standing), sorted(each.free)]
        for each in asked
    ]
    text = json.dumps([path, key, repr(told), values], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
