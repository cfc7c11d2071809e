"""What every store promises of the line of those who wait: places, priorities, and what is cancelled or asked again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from comfy_mcp.errors import BadRequest, NotFound
from comfy_mcp.jobs import JobState
from comfy_mcp.store import JobStore, Outcome, QueueLimits, Spot
from tests.store.stores import STORES, Opener, Ticker, first, new_job, picture

MANY = QueueLimits(100, 100)


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Ticker) -> AsyncGenerator[JobStore]:
    opener: Opener = request.param
    async with opener(tmp_path, limits=MANY, clock=clock) as opened:
        yield opened


async def queued(store: JobStore, *owners: str) -> list[str]:
    return [(await store.enqueue(new_job(owner))).id for owner in owners]


async def line(store: JobStore) -> list[str]:
    return [each.job for each in await store.lineup.waiting(100)]


async def test_a_job_takes_any_place_of_its_owner_and_nobody_else_moves(store: JobStore) -> None:
    a, x, b, y, c = await queued(store, "ann", "bob", "ann", "bob", "ann")
    await store.lineup.move(c, "ann", Spot.FIRST)
    assert await line(store) == [c, x, a, y, b]
    await store.lineup.move(c, "ann", Spot.AFTER, a)
    assert await line(store) == [a, x, c, y, b]
    await store.lineup.move(b, None, Spot.BEFORE, a)
    assert await line(store) == [b, x, a, y, c]
    await store.lineup.move(b, "ann", Spot.LAST)
    assert await line(store) == [a, x, c, y, b]
    assert [
        (await store.lease(str(n), first) or 0) and (await store.get(job)).state for n, job in enumerate([a, x])
    ] == [
        JobState.RUNNING,
        JobState.RUNNING,
    ]


async def test_what_was_waited_stays_with_the_place_and_the_time_limit_goes_with_the_job(
    store: JobStore, clock: Ticker
) -> None:
    old = await store.enqueue(new_job(expires_in=100))
    clock.now += 50
    new = await store.enqueue(new_job(expires_in=100))
    await store.lineup.move(new.id, "ann", Spot.FIRST)
    assert [lane.waited for lane in (await store.queue()).lanes] == [50]
    clock.now += 60
    assert await store.expire() == [old.id]
    clock.now += 50
    assert await store.expire() == [new.id]


async def test_jobs_of_another_priority_or_owner_keep_their_places(store: JobStore) -> None:
    (mine, theirs) = await queued(store, "ann", "bob")
    urgent = await store.enqueue(new_job(priority=5))
    await store.lineup.move(urgent.id, "ann", Spot.FIRST)
    assert await line(store) == [mine, theirs, urgent.id]
    for other in (theirs, urgent.id, "nothing"):
        with pytest.raises(BadRequest):
            await store.lineup.move(mine, "ann", Spot.AFTER, other)
    for job, owner in ((mine, "bob"), ("nothing", None)):
        with pytest.raises(NotFound):
            await store.lineup.move(job, owner, Spot.FIRST)


async def test_what_began_or_ended_does_not_move(store: JobStore) -> None:
    running, other, gone = await queued(store, "ann", "ann", "ann")
    await store.lease("attempt", first)
    await store.cancel(gone)
    for job in (running, gone):
        with pytest.raises(BadRequest, match="does not wait"):
            await store.lineup.move(job, "ann", Spot.LAST)
        with pytest.raises(BadRequest, match="does not wait"):
            await store.lineup.set_priority(job, "ann", 1)
    assert await line(store) == [other]


async def test_a_moved_job_runs_to_its_end_with_its_pictures(store: JobStore) -> None:
    first_one, moved = await queued(store, "ann", "ann")
    await store.lineup.move(moved, "ann", Spot.FIRST)
    leased = await store.lease("attempt", first)
    assert leased is not None and leased.id == moved
    assert await store.finish(moved, leased.token, Outcome(JobState.SUCCEEDED, [picture()]))
    assert [asset.id for asset in (await store.get(moved)).assets] == [picture().id]
    assert [job.id for job in await store.lineup.ended("ann", 0, 10)] == [moved]
    assert await store.lineup.ended("bob", 0, 10) == []
    await store.lineup.move(first_one, "ann", Spot.FIRST)


async def test_a_new_priority_goes_before_what_waited_longer(store: JobStore) -> None:
    _, quick = await queued(store, "ann", "ann")
    await store.lineup.set_priority(quick, "ann", 7)
    assert (await store.get(quick)).priority == 7
    assert [each.job for each in (await store.line(1)).waiting] == [quick]
    await store.lineup.set_priority(quick, "ann", 0)
    assert len((await store.queue()).lanes) == 1


async def test_clearing_ends_what_one_owner_has_waiting_and_asks_for_the_end_of_what_runs(store: JobStore) -> None:
    running, waiting, theirs = await queued(store, "ann", "ann", "bob")
    await store.lease("attempt", first)
    assert await store.lineup.clear("ann") == [waiting]
    assert await store.cancel_requests() == frozenset()
    assert await store.lineup.clear("ann", running=True) == [running]
    assert await store.cancel_requests() == {running}
    assert await line(store) == [theirs]


async def test_what_a_job_needs_is_told_when_it_has_ended_too(store: JobStore) -> None:
    job = await store.enqueue(new_job(needs=frozenset({"KSampler", "tag:fast"})))
    await store.cancel(job.id)
    assert await store.lineup.needs(job.id) == {"KSampler", "tag:fast"}
    assert await store.lineup.needs("nothing") == frozenset()


async def test_the_forecast_reads_some_of_everybodys_jobs(store: JobStore) -> None:
    *_, last = await queued(store, *["ann"] * 30, "bob")
    waiting = [each.job for each in (await store.line(10)).waiting]
    assert last in waiting and len(waiting) == 6
