"""Jobs for clients that wait for them: submit, follow to the end, and give up what nobody waits for any more.

Owns what a hang-up and a retry mean. A client that comes back within a few seconds with the same request gets the job
that it left, and so does one that says that it retries; whoever else asks the same gets a job of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.requests import ClientDisconnect, Request

from comfy_mcp.errors import ErrorRecord, InternalError, failure_of
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.tasks import background
from comfy_mcp.workbench import Workbench

__all__ = ["Maker", "only_known", "succeeded", "until_gone"]

_GRACE_SECONDS = 5.0
_RETRY = "x-stainless-retry-count"
"""A header of OpenAI's clients: "0" with the first try."""


@dataclass(slots=True)
class _Shared:
    """Jobs that ``waiting`` clients wait for now."""

    jobs: tuple[str, ...]
    waiting: int = 0


class Maker:
    """Use it within `run`. Each front door has one of its own, and knows by it which jobs are its own."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._shared: dict[str, _Shared] = {}
        self._owners: dict[str, str] = {}
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        async with background() as tasks:
            self._tasks = tasks
            yield

    def waited_for(self, owner: str) -> list[str]:
        """The jobs of this owner that clients of this front door wait for, oldest first."""
        return [job for job, whose in self._owners.items() if whose == owner]

    @asynccontextmanager
    async def jobs(self, asked: Sequence[JobRequest], request: Request) -> AsyncGenerator[list[Job]]:
        """Submit these requests together; who leaves the block before the jobs ended has given them up.

        Raises as `Workbench.submit`.
        """
        key = request.headers.get("idempotency-key")
        mark = _fingerprint(asked, request.url.path, key)
        shared = self._shared.get(mark)
        retried = request.headers.get(_RETRY, "0").strip() not in ("", "0")
        if shared is None or (shared.waiting and not retried):
            shared = _Shared(tuple([job.id for job in await self._submitted(asked, key)]))
            self._shared[mark] = shared
            self._owners |= dict.fromkeys(shared.jobs, asked[0].owner)
        shared.waiting += 1
        try:
            yield [await self._workbench.job(job, asked[0].owner) for job in shared.jobs]
        finally:
            shared.waiting -= 1
            if not shared.waiting and self._tasks is not None:
                self._tasks.start_soon(self._left, mark, shared)

    async def make(
        self,
        asked: Sequence[JobRequest],
        request: Request,
        on_change: Callable[[Job], Awaitable[None]] | None = None,
    ) -> list[Job]:
        """The jobs when all succeeded.

        Raises:
            ClientDisconnect: nobody waits any more.
            WorkbenchError: as `Workbench.submit`, and why a job did not succeed.
        """
        async with until_gone(request), self.jobs(asked, request) as jobs:
            return [await self._ended(job, on_change) for job in jobs]
        raise ClientDisconnect

    async def _ended(self, job: Job, on_change: Callable[[Job], Awaitable[None]] | None) -> Job:
        async with aclosing(self._workbench.follow(job.id, job.owner)) as changes:
            async for job in changes:
                if on_change is not None and not job.state.terminal:
                    await on_change(job)
        return succeeded(job)

    async def _submitted(self, asked: Sequence[JobRequest], key: str | None) -> list[Job]:
        keys = [None if key is None else key if number == 0 else f"{key}-{number}" for number in range(len(asked))]
        return [await self._workbench.submit(each, once) for each, once in zip(asked, keys, strict=True)]

    async def _left(self, mark: str, shared: _Shared) -> None:
        """Nobody waits: give the client time to come back, then give the jobs up."""
        found = [await self._workbench.job(job) for job in shared.jobs]
        if not all(job.state.terminal for job in found):
            await anyio.sleep(_GRACE_SECONDS)
            if shared.waiting:
                return
        if self._shared.get(mark) is shared:
            del self._shared[mark]
        for job in found:
            self._owners.pop(job.id, None)
            if self._workbench.drops_abandoned:
                # One that has ended stays as it is.
                await self._workbench.cancel(job.id)


def succeeded(job: Job) -> Job:
    """The job, if it succeeded. Raises WorkbenchError with what it failed of."""
    if job.state is JobState.SUCCEEDED:
        return job
    if job.state is JobState.CANCELLED:
        raise failure_of(ErrorRecord("interrupted", "The job was cancelled.", "Ask again if that was not meant."))
    raise failure_of(job.error or InternalError().record)


@asynccontextmanager
async def until_gone(request: Request) -> AsyncGenerator[None]:
    """Cancel the block when the client hangs up; its body must have been read. What follows the block runs then."""
    async with background() as tasks:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        yield


def only_known(workbench: Workbench, template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that the template has a parameter for; front ends with a form of their own send them all.

    Raises:
        NotFound: no such template.
    """
    known = workbench.catalogue.get(template).parameters
    return {name: value for name, value in values.items() if name in known and value is not None}


def _fingerprint(asked: Sequence[JobRequest], path: str, key: str | None) -> str:
    told = [replace(each, values={}, standing={}, free=frozenset(), asked=None) for each in asked]
    values = [[dict(each.values), dict(each.standing), sorted(each.free)] for each in asked]
    text = json.dumps([path, key, repr(told), values], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
