"""The one loop: lease the job that the policy wants next, see it run, commit what came out.

Owns the running attempts and nothing durable: killed at any moment, the next dispatcher finds every job in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from comfy_mcp.assets import Assets
from comfy_mcp.backends import Pool
from comfy_mcp.callers import OWN
from comfy_mcp.dispatch.attempt import Again, Attempt, Runner, failed
from comfy_mcp.dispatch.choosing import Choice, Choosing
from comfy_mcp.dispatch.guests import Guests
from comfy_mcp.dispatch.limits import Limits
from comfy_mcp.dispatch.reception import Reception
from comfy_mcp.dispatch.seen import POLL_SECONDS, Seen
from comfy_mcp.errors import DatabaseUnavailable, InternalError, PoisonJob, WorkbenchError
from comfy_mcp.jobs import Job, Progress
from comfy_mcp.store import JobStore, Outcome, Queue, Start
from comfy_mcp.tasks import to_the_end
from comfy_mcp.watch import Board

__all__ = ["Dispatcher"]

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 1.0
_STORAGE_SECONDS = 1.0
_STOP_SECONDS = 10.0
_GOODBYE_SECONDS = 2.0

T = TypeVar("T")


class Dispatcher:
    """Runs queued jobs until it is cancelled. A job that is running then stays running, for the next dispatcher.

    ``limits`` is asked each time, since settings change.
    """

    def __init__(
        self, store: JobStore, assets: Assets, pool: Pool, board: Board, *, limits: Callable[[], Limits] = Limits
    ) -> None:
        self._store = store
        self._pool = pool
        self._board = board
        self._limits = limits
        self._runner = Runner(store, assets, pool)
        self._running: dict[str, Attempt] = {}
        self._choosing = Choosing(pool)
        self.guests = Guests(pool, board, limits, self._hosts)
        self._seen = Seen()
        self._reception = Reception(
            store, pool, self._choosing, self.guests, seen=self._seen, running=self._running, limits=limits
        )
        self._stopping: set[str] = set()
        self._left: dict[str, int] = {}

    async def run(self) -> None:
        """Take up what an earlier dispatcher left running, then lease job after job."""
        try:
            with self._board.watching_work() as work:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._heed_cancels, tasks)
                    await self._persistently(self._heed_modes)
                    self._take_up(await self._persistently(partial(self._store.adopt, everything=True)), tasks)
                    self._pool.serve(self._board.post_work, self._freed)
                    tasks.start_soon(self._again_and_again, _PROGRESS_SECONDS, self._each_second)
                    tasks.start_soon(self._again_and_again, self._limits().beat, partial(self._keep_leases, tasks))
                    while True:
                        if work.changed or self._running:
                            self._seen.forget()
                        if await self._start_next(tasks):
                            continue
                        # The notice of a job that another process queued does not reach this board.
                        notice = await work.wait(POLL_SECONDS)
                        if notice.changed:
                            self._seen.forget()
        except anyio.get_cancelled_exc_class():
            # What runs goes on for the next dispatcher, without counting as if we had died under it.
            with anyio.CancelScope(shield=True), anyio.move_on_after(_GOODBYE_SECONDS), suppress(DatabaseUnavailable):
                await self._store.let_go(self._left)
            raise
        finally:
            self.guests.close()

    def _hosts(self, attempt: str, owner: str) -> bool:
        """Whether it runs, and this owner may ask within it: whose job it is, or who has the machine, since a node that
        asks for everybody does so in that name."""
        return any(each.id == attempt and owner in (OWN, each.job.owner) for each in self._running.values())

    async def _freed(self, card: str) -> None:
        await self._store.forget_card(card)
        self._board.post_work()

    async def _again_and_again(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """What goes wrong once goes wrong for nobody's jobs."""
        while True:
            await anyio.sleep(seconds)
            try:
                await work()
            except Exception:
                log.exception("This is tried again in %s s.", seconds)

    async def _start_next(self, tasks: TaskGroup) -> bool:
        """Start the one job, or those guests, that the policy wants now; False when it wants none."""
        chosen = Choice()

        def choose(queue: Queue) -> Start | None:
            nonlocal chosen
            chosen = self._choosing.choose(queue, waiting, kept_free)
            return None if chosen.guest else chosen.start

        try:
            if await self._reception.admit(tasks):
                return True
            if self._seen.idle is not None:
                return False
            waiting, kept_free = self.guests.waiting, self._reception.kept_free
            job = await self._store.lease(str(uuid4()), choose)
            if job is None:
                await self._reception.look()
        except DatabaseUnavailable:
            log.exception("The job database refuses; trying again.")
            await anyio.sleep(_STORAGE_SECONDS)
            return False
        if job is None:
            if chosen.unserved:
                self._pool.ask_what_they_have()
            return chosen.guest is not None
        self._choosing.started(chosen)
        self._begin(Attempt(job, self._pool.find(job.backend), chosen.unload), tasks)
        return True

    def _take_up(self, jobs: Iterable[Job], tasks: TaskGroup) -> None:
        for job in jobs:
            self._begin(Attempt(job, self._pool.find(job.backend), adopted=True), tasks)

    def _begin(self, attempt: Attempt, tasks: TaskGroup) -> None:
        self._running[attempt.job.id] = attempt
        if attempt.member is not None:
            self._pool.enter(attempt.member)
        tasks.start_soon(self._work, attempt)

    async def _work(self, attempt: Attempt) -> None:
        self._board.post(attempt.job.id)
        ended = False
        try:
            with attempt.scope:
                try:
                    ended = await self._to_the_end(attempt)
                except DatabaseUnavailable:
                    # The job stays "running" on disk; nobody renews its lease, so it is soon taken up again.
                    log.exception("Job %s cannot go on.", attempt.job.id)
                except Exception:
                    log.exception("Job %s hit a defect.", attempt.job.id)
                    ended = await self._finish(attempt, failed(attempt.job, InternalError()))
        except anyio.get_cancelled_exc_class():
            self._left[attempt.job.id] = attempt.job.token
            raise
        finally:
            if self._running.get(attempt.job.id) is attempt:
                del self._running[attempt.job.id]
            self.guests.stop_within(attempt.id)
            if attempt.member is not None:
                self._pool.leave(attempt.member, attempt.id if ended else None)
            self._board.forget(attempt.job.id)
            self._board.post_work()

    async def _to_the_end(self, attempt: Attempt) -> bool:
        """Whether the job ended; otherwise it is back in the queue, or somebody else's."""
        job, limits = attempt.job, self._limits()
        if job.takeovers > limits.takeovers:
            outcome: Outcome | Again = failed(job, _poison(job))
            await self._stop(attempt)
        else:
            outcome = await self._runner.run(attempt, limits.timeout, partial(self._progressed, attempt))
        if isinstance(outcome, Again):
            if outcome.refund or job.attempts < limits.attempts:
                log.warning("Job %s goes back to the queue: %s", job.id, outcome.failure)
                await self._persistently(partial(self._store.release, job.id, job.token, refund=outcome.refund))
                return False
            outcome = failed(job, outcome.failure)
        return await self._finish(attempt, outcome)

    async def _finish(self, attempt: Attempt, outcome: Outcome) -> bool:
        job = attempt.job
        if not await self._persistently(partial(self._store.finish, job.id, job.token, outcome)):
            log.warning("Attempt %s of job %s came too late and was not recorded.", attempt.id, job.id)
            return False
        await to_the_end(self._runner.assure(attempt))
        return True

    async def _persistently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it however long the database refuses: a result that is not recorded is in nobody's hands but ours."""
        while True:
            try:
                return await work()
            except DatabaseUnavailable:
                log.exception("The job database refuses; trying again.")
                await anyio.sleep(_STORAGE_SECONDS)

    async def _stop(self, attempt: Attempt) -> None:
        if attempt.member is None:
            return
        try:
            await attempt.member.backend.cancel(attempt.id)
        except WorkbenchError as failure:
            log.warning("Attempt %s is not stopped: %s", attempt.id, failure)
        except Exception:
            # One backend that answers nonsense stops nobody else's jobs.
            log.exception("Attempt %s is not stopped.", attempt.id)

    def _progressed(self, attempt: Attempt, progress: Progress) -> None:
        attempt.progress = progress
        self._board.post_progress(attempt.job.id, progress)

    async def _keep_leases(self, tasks: TaskGroup) -> None:
        """Renew what is ours, stop what is not any more, take up what nobody renews, and end what waited too long."""
        held = {job: attempt.job.token for job, attempt in self._running.items()}
        for job in await self._store.heartbeat(held) if held else ():
            if (attempt := self._running.get(job)) is not None and attempt.job.token == held[job]:
                attempt.scope.cancel()
        self._take_up(await self._store.adopt(), tasks)
        for job in await self._store.expire():
            self._board.post(job)

    async def _each_second(self) -> None:
        """Record progress for those who watch from another process, heed what was paused from one, and tidy up."""
        await self._pool.tidy_up()
        await self._heed_modes()
        for attempt in list(self._running.values()):
            if attempt.progress is not attempt.recorded:
                attempt.recorded = attempt.progress
                await self._store.record_progress(attempt.job.id, attempt.job.token, attempt.recorded)

    async def _heed_modes(self) -> None:
        if self._pool.set_modes(await self._store.modes()):
            self._board.post_work()

    async def _heed_cancels(self, tasks: TaskGroup) -> None:
        """Stop the running jobs that somebody asked to cancel; repeated until each has ended.

        Repeated because a cancel can arrive before the prompt does, when ComfyUI has nothing to stop yet.
        """
        with self._board.watching_work() as work:
            while True:
                await work.wait(POLL_SECONDS)
                if not self._running:
                    continue
                try:
                    asked = await self._store.cancel_requests()
                except DatabaseUnavailable:
                    log.exception("Cancels are not read.")
                    continue
                for job in asked & self._running.keys() - self._stopping:
                    self._stopping.add(job)
                    tasks.start_soon(self._heed_cancel, self._running[job])

    async def _heed_cancel(self, attempt: Attempt) -> None:
        """In a task of its own: a backend that hangs keeps nobody else's job running.

        Each time it waits longer before it may be repeated: a sampler can take minutes for the step that it is at.
        """
        try:
            self.guests.stop_within(attempt.id)
            with anyio.move_on_after(_STOP_SECONDS):
                await self._stop(attempt)
            attempt.stops += 1
            await anyio.sleep(min(_STOP_SECONDS, POLL_SECONDS * 2**attempt.stops))
        finally:
            self._stopping.discard(attempt.job.id)


def _poison(job: Job) -> PoisonJob:
    return PoisonJob(
        f"The workbench ended {job.takeovers} times while it worked on this job.",
        hint="It is set aside. Look at the log for what it ends with; ask again with other values.",
    )
