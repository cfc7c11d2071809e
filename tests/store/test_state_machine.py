"""Any order of enqueue, lease, heartbeat, commit, release, cancel, expire, takeover and crash keeps the promises.

The model beside the store is a few dictionaries; after every step both must tell the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from comfy_mcp.errors import Conflict, Overloaded
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.store import Idempotency, JobStore, Outcome, QueueLimits
from tests.store.stores import STORES, Opener, Ticker, first, new_job, picture

T = TypeVar("T")
LIMITS = QueueLimits(jobs=4, per_owner=3, lease=15.0)
NOTHING = cast(Any, multiple())
ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass
class Known:
    """What must be true of one job."""

    owner: str
    state: JobState = JobState.QUEUED
    token: int = 0
    attempts: int = 0
    assets: int = 0
    since: float = 0.0
    beat: float | None = 0.0
    takeovers: int = 0
    expires_in: float | None = None
    cancel: bool = False


class StoreMachine(RuleBasedStateMachine):
    opener: Opener

    jobs = Bundle[str]("jobs")
    leases = Bundle[tuple[str, int]]("leases")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._portal_context = anyio.from_thread.start_blocking_portal()
        self._portal = self._portal_context.__enter__()
        self._clock = Ticker()
        self.known: dict[str, Known] = {}
        self.order: list[str] = []
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        self._open()

    def _open(self) -> None:
        self._stack = AsyncExitStack()

        async def enter() -> JobStore:
            return await self._stack.enter_async_context(
                self.opener(Path(self._folder.name), limits=LIMITS, clock=self._clock)
            )

        self.store = self._portal.call(enter)

    def _do(self, call: Callable[..., Awaitable[T]], *values: Any, **more: Any) -> T:
        async def run() -> T:
            return await call(*values, **more)

        return self._portal.call(run)

    def teardown(self) -> None:
        self._portal.call(self._stack.aclose)
        self._portal_context.__exit__(None, None, None)
        self._folder.cleanup()

    def _in(self, state: JobState) -> list[str]:
        return [job for job in self.order if self.known[job].state is state]

    @rule(
        target=jobs,
        owner=st.sampled_from(["ann", "bob"]),
        key=st.sampled_from(["", "k1", "k2"]),
        fingerprint=st.sampled_from(["f1", "f2"]),
        expires_in=st.sampled_from([None, 30.0]),
    )
    def enqueue(self, owner: str, key: str, fingerprint: str, expires_in: float | None) -> Any:
        idempotency = Idempotency(key, fingerprint) if key else None
        earlier = self.keys.get((owner, key)) if key else None
        new = new_job(owner, expires_in=expires_in)
        if earlier is not None:
            if earlier[1] != fingerprint:
                with pytest.raises(Conflict):
                    self._do(self.store.enqueue, new, idempotency)
            else:
                assert self._do(self.store.enqueue, new, idempotency).id == earlier[0]
            return NOTHING
        waiting = self._in(JobState.QUEUED)
        own = [job for job in waiting if self.known[job].owner == owner]
        if len(waiting) >= LIMITS.jobs or len(own) >= LIMITS.per_owner:
            with pytest.raises(Overloaded):
                self._do(self.store.enqueue, new, idempotency)
            return NOTHING
        job = self._do(self.store.enqueue, new, idempotency).id
        self.known[job] = Known(owner, since=self._clock(), expires_in=expires_in)
        self.order.append(job)
        if key:
            self.keys[owner, key] = job, fingerprint
        return job

    @rule(target=leases)
    def lease(self) -> Any:
        leased = self._do(self.store.lease, "attempt", first)
        waiting = self._in(JobState.QUEUED)
        assert (leased.id if leased else None) == (waiting[0] if waiting else None)
        if leased is None:
            return NOTHING
        known = self.known[leased.id]
        known.state, known.token, known.attempts = JobState.RUNNING, known.token + 1, known.attempts + 1
        known.beat = self._clock()
        return leased.id, known.token

    def _holds(self, lease: tuple[str, int]) -> bool:
        known = self.known[lease[0]]
        return known.state is JobState.RUNNING and known.token == lease[1]

    @rule(lease=leases)
    def heartbeat(self, lease: tuple[str, int]) -> None:
        lost = self._do(self.store.heartbeat, {lease[0]: lease[1]})
        assert lost == (frozenset() if self._holds(lease) else {lease[0]})
        if not lost:
            self.known[lease[0]].beat = self._clock()

    @rule(lease=leases, state=st.sampled_from(ENDS))
    def finish(self, lease: tuple[str, int], state: JobState) -> None:
        holds, known = self._holds(lease), self.known[lease[0]]
        assets = [picture(f"{lease[0]}-{lease[1]}")] if state is JobState.SUCCEEDED else []
        assert self._do(self.store.finish, *lease, Outcome(state, assets=assets)) is holds
        if holds:
            cancelled = known.cancel and state is JobState.FAILED
            known.state, known.assets = JobState.CANCELLED if cancelled else state, len(assets)

    @rule(lease=leases, refund=st.booleans())
    def release(self, lease: tuple[str, int], refund: bool) -> None:
        holds, known = self._holds(lease), self.known[lease[0]]
        assert self._do(self.store.release, *lease, refund=refund) is holds
        if holds:
            known.state = JobState.CANCELLED if known.cancel else JobState.QUEUED
            known.attempts -= refund

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        self._do(self.store.cancel, job)
        known = self.known[job]
        if known.state is JobState.QUEUED:
            known.state = JobState.CANCELLED
        known.cancel = known.cancel or known.state is JobState.RUNNING

    @rule()
    def expire(self) -> None:
        late = {
            job
            for job in self._in(JobState.QUEUED)
            if (limit := self.known[job].expires_in) is not None
            and self._clock() - self.known[job].since > limit
            and not self.known[job].attempts
        }
        assert set(self._do(self.store.expire)) == late
        for job in late:
            self.known[job].state = JobState.EXPIRED

    @rule(target=leases, everything=st.booleans())
    def adopt(self, everything: bool) -> Any:
        silent = [
            job
            for job in self._in(JobState.RUNNING)
            if everything or (beat := self.known[job].beat) is None or self._clock() - beat >= LIMITS.lease
        ]
        adopted = self._do(self.store.adopt, everything=everything)
        assert {job.id for job in adopted} == set(silent)
        for job in silent:
            known = self.known[job]
            known.takeovers += known.beat is not None
            known.token, known.beat = known.token + 1, self._clock()
        assert all(job.takeovers == self.known[job.id].takeovers for job in adopted)
        taken: Any = multiple(*((job, self.known[job].token) for job in silent))
        return taken

    @rule(lease=consumes(leases))
    def let_go(self, lease: tuple[str, int]) -> None:
        self._do(self.store.let_go, {lease[0]: lease[1]})
        if self._holds(lease):
            self.known[lease[0]].beat = None

    @rule(lease=consumes(leases))
    def forget_a_lease(self, lease: tuple[str, int]) -> None:
        """A worker died: nobody speaks for this attempt again but who adopts it."""

    @rule(seconds=st.sampled_from([1.0, 10.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self._clock.now += seconds

    @rule()
    def crash(self) -> None:
        """Another process opens the same store while this one never closed it in order."""
        abandoned = self._stack
        self._open()
        self._portal.call(abandoned.aclose)

    @invariant()
    def the_store_tells_what_is_known(self) -> None:
        stored: dict[str, Job] = {job.id: job for job in self._do(self.store.list, limit=1000)}
        assert list(stored) == self.order[::-1]
        for job, known in self.known.items():
            told = stored[job]
            assert (told.state, told.token, told.attempts) == (known.state, known.token, known.attempts)
            assert len(told.assets) == known.assets
            assert (told.finished is not None) == told.state.terminal
        line = self._do(self.store.line, 1000)
        assert [place.job for place in line.waiting] == self._in(JobState.QUEUED)
        owners = {self.known[job].owner for job in self._in(JobState.QUEUED)}
        assert {lane.owner for lane in line.queue.lanes} == owners


@pytest.mark.parametrize("opener", STORES)
def test_every_order_of_events_keeps_the_promises(opener: Opener) -> None:
    machine = type("Machine", (StoreMachine,), {"opener": staticmethod(opener)}).TestCase
    machine.settings = settings(
        max_examples=60,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    machine("runTest").runTest()
