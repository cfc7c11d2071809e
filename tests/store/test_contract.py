"""What every job store promises. A second store joins by adding itself to `STORES`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from comfy_mcp.errors import Conflict, ErrorRecord, NotFound, Overloaded
from comfy_mcp.jobs import JobState, Output, Progress
from comfy_mcp.store import Idempotency, JobStore, Outcome, Record
from tests.store.stores import STORES, Opener, first, new_job, picture


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[JobStore]]:
    open_store: Opener = request.param
    return partial(open_store, tmp_path)


@pytest.fixture
async def store(opener: Callable[[], AbstractAsyncContextManager[JobStore]]) -> AsyncGenerator[JobStore]:
    async with opener() as opened:
        yield opened


async def test_a_job_comes_back_as_it_went_in(store: JobStore) -> None:
    queued = await store.enqueue(new_job())

    assert queued.state is JobState.QUEUED
    assert queued == await store.get(queued.id, "ann")
    assert queued.bound == new_job().bound
    assert queued.values["seed"] == 2**64 - 1
    assert queued.warnings == ("width was rounded to 512",)


async def test_jobs_are_leased_in_the_order_they_came_and_counted(store: JobStore) -> None:
    older, newer = await store.enqueue(new_job()), await store.enqueue(new_job())
    assert await store.ahead(newer.id) == 1

    leased = await store.lease("attempt-1", first)
    assert leased is not None and leased.id == older.id
    assert (leased.state, leased.attempt, leased.attempts) == (JobState.RUNNING, "attempt-1", 1)
    assert await store.ahead(newer.id) == 0
    again = await store.lease("attempt-2", first)
    assert again is not None and again.id == newer.id
    assert await store.lease("attempt-3", first) is None
    assert [job.id for job in await store.active()] == [older.id, newer.id]


async def test_success_records_state_assets_and_outputs_together(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None
    outcome = Outcome(JobState.SUCCEEDED, assets=[picture()], outputs=[Output("9", "text", "a cat")], warnings=["note"])

    assert await store.finish(job.id, job.token, outcome)

    done = await store.get(job.id)
    assert (done.state, done.assets, done.warnings) == (JobState.SUCCEEDED, (picture(),), ("note",))
    assert done.outputs == (Output("9", "text", "a cat"),)
    assert done.finished is not None
    assert await store.asset(picture().id, "ann") == picture()


async def test_a_failure_keeps_its_reason(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None
    error = ErrorRecord("out_of_memory", "KSampler ran out of memory.", "Make it smaller.", {"node": "3"})

    assert await store.finish(job.id, job.token, Outcome(JobState.FAILED, error=error))

    assert (await store.get(job.id)).error == error


async def test_a_stale_attempt_changes_nothing(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("old", first)
    assert job is not None
    assert await store.release(job.id, job.token)
    await store.lease("new", first)

    assert not await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED, assets=[picture()]))
    assert not await store.release(job.id, job.token)
    await store.record_progress(job.id, job.token, Progress(fraction=0.9))

    now = await store.get(job.id)
    assert (now.state, now.attempt, now.attempts, now.assets) == (JobState.RUNNING, "new", 2, ())
    assert now.progress == Progress()


async def test_a_job_ends_once(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None
    assert await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED))

    assert not await store.finish(job.id, job.token, Outcome(JobState.CANCELLED))
    assert (await store.cancel(job.id)).state is JobState.SUCCEEDED


async def test_cancel_ends_a_queued_job_and_asks_for_the_end_of_a_running_one(store: JobStore) -> None:
    running, queued = await store.enqueue(new_job()), await store.enqueue(new_job())
    await store.lease("attempt", first)

    assert (await store.cancel(queued.id, "ann")).state is JobState.CANCELLED
    assert (await store.cancel(running.id, "ann")).state is JobState.RUNNING
    assert await store.cancel_requests() == {running.id}
    assert await store.lease("next", first) is None


async def test_what_has_keys_of_one_beginning_is_cancelled_together(store: JobStore) -> None:
    keys = ("run-1", "run-2", "other-1")
    jobs = [await store.enqueue(new_job(), Idempotency(key, "same")) for key in keys]
    stranger = await store.enqueue(new_job("bob"), Idempotency("run-1", "same"))
    assert (running := await store.lease("attempt", first)) is not None and running.id == jobs[0].id

    assert set(await store.cancel_all("ann", "txt2img", "run-")) == {jobs[0].id, jobs[1].id}

    states = [(await store.get(job.id)).state for job in (*jobs, stranger)]
    assert states == [JobState.RUNNING, JobState.CANCELLED, JobState.QUEUED, JobState.QUEUED]
    assert await store.cancel_requests() == {running.id}
    assert await store.cancel_all("ann", "txt2img", "nothing-") == []


async def test_who_takes_the_turn_may_be_another_than_the_owner(store: JobStore) -> None:
    job = await store.enqueue(replace(new_job(), turn="ann, by the hundred"))
    assert [lane.owner for lane in (await store.line(10)).queue.lanes] == ["ann, by the hundred"]
    assert (leased := await store.lease("attempt", first)) is not None and leased.owner == "ann"
    await store.enqueue(new_job())
    assert set((await store.line(10)).queue.turns) == {"ann, by the hundred"}
    assert [found.id for found in await store.list("ann")][-1] == job.id


async def test_a_cancelled_job_is_not_queued_again(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None
    await store.cancel(job.id)

    assert await store.release(job.id, job.token)

    assert (await store.get(job.id)).state is JobState.CANCELLED


async def test_a_refunded_attempt_is_not_counted(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None

    assert await store.release(job.id, job.token, refund=True)

    again = await store.get(job.id)
    assert (again.state, again.attempts) == (JobState.QUEUED, 0)


async def test_the_same_key_and_request_are_the_same_job(store: JobStore) -> None:
    key = Idempotency("key", "fingerprint")
    assert await store.find("ann", "txt2img", key) is None
    once = await store.enqueue(new_job(), key)

    again = await store.enqueue(new_job(seed=5), key)

    assert again.id == once.id
    assert await store.find("ann", "txt2img", key) == once
    assert len(await store.list()) == 1


async def test_the_same_key_for_another_request_is_refused(store: JobStore) -> None:
    await store.enqueue(new_job(), Idempotency("key", "fingerprint"))

    with pytest.raises(Conflict):
        await store.enqueue(new_job(), Idempotency("key", "another"))
    with pytest.raises(Conflict):
        await store.find("ann", "txt2img", Idempotency("key", "another"))


async def test_keys_belong_to_owner_and_template(store: JobStore) -> None:
    key = Idempotency("key", "fingerprint")
    jobs = [
        await store.enqueue(new_job(), key),
        await store.enqueue(new_job(owner="bob"), key),
        await store.enqueue(new_job(template="img2img"), key),
    ]

    assert len({job.id for job in jobs}) == 3


async def test_fifty_posts_with_one_key_make_one_job(store: JobStore) -> None:
    seen: set[str] = set()

    async def post() -> None:
        seen.add((await store.enqueue(new_job(), Idempotency("key", "fingerprint"))).id)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(post)
    assert len(seen) == 1


async def test_a_full_queue_refuses_and_keeps_what_it_has(store: JobStore) -> None:
    for _ in range(5):
        await store.enqueue(new_job())

    with pytest.raises(Overloaded):
        await store.enqueue(new_job())
    assert len(await store.list()) == 5


async def test_nobody_sees_the_jobs_and_pictures_of_another(store: JobStore) -> None:
    job = await store.enqueue(new_job())
    await store.add_asset("ann", picture())

    for call in (store.get(job.id, "bob"), store.cancel(job.id, "bob"), store.asset(picture().id, "bob")):
        with pytest.raises(NotFound):
            await call
    assert await store.list("bob") == []
    assert (await store.get(job.id)).state is JobState.QUEUED


async def test_pages_go_from_new_to_old(store: JobStore) -> None:
    jobs = [await store.enqueue(new_job()) for _ in range(5)]
    newest_first = [job.id for job in reversed(jobs)]

    page = await store.list("ann", limit=2)
    rest = await store.list("ann", limit=10, before=page[-1].id)

    assert [job.id for job in (*page, *rest)] == newest_first


async def test_progress_is_kept_without_its_preview(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await store.lease("attempt", first)
    assert job is not None

    await store.record_progress(job.id, job.token, Progress(0.5, 10, 20, "3", preview=b"jpeg"))

    assert (await store.get(job.id)).progress == Progress(0.5, 10, 20, "3")


async def test_everything_survives_closing(opener: Callable[[], AbstractAsyncContextManager[JobStore]]) -> None:
    async with opener() as store:
        queued, running = await store.enqueue(new_job()), None
        running = await store.lease("attempt", first)
    async with opener() as store:
        assert running is not None and queued.id == running.id
        assert await store.active() == [running]


async def test_a_store_sees_the_commits_of_another(
    opener: Callable[[], AbstractAsyncContextManager[JobStore]],
) -> None:
    async with opener() as ours, opener() as theirs:
        job = await theirs.enqueue(new_job())
        assert (await ours.get(job.id)).id == job.id
        assert await ours.lease("attempt", first) is not None
        assert await theirs.lease("another", first) is None


async def test_records_are_kept_by_owner_kind_and_name(store: JobStore) -> None:
    value = {"steps": 20, "style": None, "text": "Meer, 海"}
    await store.keep_record(Record("ann", "preset", "night", {"old": 1}))
    await store.keep_record(Record("ann", "preset", "night", value))
    await store.keep_record(Record("ann", "preset", "day", {}))
    await store.keep_record(Record("bob", "preset", "night", {"steps": 1}))
    assert await store.record("ann", "preset", "night") == value
    assert await store.records("ann", "preset") == {"day": {}, "night": value}
    assert await store.record("ann", "sweep", "night") is None
    assert await store.drop_record("ann", "preset", "night")
    assert not await store.drop_record("ann", "preset", "night")
    assert await store.records("ann", "preset") == {"day": {}}
    assert await store.record("bob", "preset", "night") == {"steps": 1}


async def test_many_jobs_are_queued_with_their_record_or_not_at_all(store: JobStore) -> None:
    def record(jobs: Sequence[str]) -> Record:
        return Record("ann", "sweep", "one", {"jobs": list(jobs)})

    jobs = await store.enqueue_all([new_job(), new_job(), new_job("ann", "img2img")], record)
    assert [job.template for job in jobs] == ["txt2img", "txt2img", "img2img"]
    assert await store.record("ann", "sweep", "one") == {"jobs": [job.id for job in jobs]}
    with pytest.raises(Overloaded):
        await store.enqueue_all([new_job() for _ in range(3)], lambda ids: Record("ann", "sweep", "two", {}))
    assert len(await store.list()) == 3
    assert await store.record("ann", "sweep", "two") is None


async def test_the_last_records_stay(store: JobStore) -> None:
    for name in ("a", "c", "b"):
        await store.keep_record(Record("ann", "sweep", name, {}))
    await store.keep_record(Record("ann", "preset", "a", {}))
    await store.keep_record(Record("bob", "sweep", "a", {}))
    await store.prune_records("ann", "sweep", 2)
    assert list(await store.records("ann", "sweep")) == ["b", "c"]
    assert list(await store.records("ann", "preset")) == list(await store.records("bob", "sweep")) == ["a"]
