"""What every store promises of its queue: lanes, leases, takeovers, expiry, limits, and figures for forecasts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from comfy_mcp.errors import ErrorRecord, Overloaded
from comfy_mcp.jobs import Job, JobState, Output, Progress
from comfy_mcp.store import JobStore, Mode, Outcome, Queue, QueueLimits, Start
from llm_bridge.scheduling import Batch
from tests.store.stores import STORES, Opener, Ticker, first, new_job


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest) -> Opener:
    opener: Opener = request.param
    return opener


@pytest.fixture
async def store(opener: Opener, tmp_path: Path, clock: Ticker) -> AsyncGenerator[JobStore]:
    async with opener(tmp_path, clock=clock) as opened:
        yield opened


async def leased(store: JobStore, attempt: str = "attempt") -> Job:
    job = await store.lease(attempt, first)
    assert job is not None
    return job


async def test_alike_jobs_wait_in_one_lane_under_the_age_of_the_oldest(store: JobStore, clock: Ticker) -> None:
    needs = frozenset({"KSampler", "tag:fast"})
    for _ in range(2):
        await store.enqueue(new_job(model="anime", needs=needs, priority=3))
        clock.now += 10
    await store.enqueue(new_job("bob", model="photo"))

    lanes = (await store.line(10)).queue.lanes

    told = [(lane.owner, lane.model, lane.needs, lane.priority, lane.oldest, lane.waited) for lane in lanes]
    assert told == [("ann", "anime", needs, 3, 1, 20.0), ("bob", "photo", frozenset(), 0, 3, 0.0)]


async def test_a_lane_goes_and_comes_with_its_jobs(store: JobStore) -> None:
    job = await store.enqueue(new_job(model="anime"))
    await store.cancel(job.id)
    assert (await store.line(10)).queue.lanes == []
    await store.enqueue(new_job(model="anime"))
    assert [lane.model for lane in (await store.line(10)).queue.lanes] == ["anime"]


async def test_a_policy_that_wants_nothing_starts_nothing(store: JobStore) -> None:
    job = await store.enqueue(new_job())
    assert await store.lease("attempt", lambda queue: None) is None
    assert (await store.get(job.id)).attempts == 0


async def test_a_lease_names_its_backend_and_takes_a_turn(store: JobStore) -> None:
    for owner in ("ann", "bob", "ann"):
        await store.enqueue(new_job(owner))
    for attempt in ("1", "2", "3"):
        job = await leased(store, attempt)
    assert (job.owner, job.backend, job.token) == ("ann", "comfyui", 1)
    turns = (await store.line(10)).queue.turns
    assert turns["ann"] > turns["bob"]


async def test_a_batch_remembers_its_gate_and_its_age(store: JobStore, clock: Ticker) -> None:
    for model in ("anime", "photo"):
        await store.enqueue(new_job(model=model))
    await leased(store)
    clock.now += 5
    assert (await store.line(10)).queue.batches == {"gpu0": Batch("comfyui", "anime", gate=2, age=5.0)}
    await store.forget_card("gpu0")
    assert (await store.line(10)).queue.batches == {}


async def test_a_batch_of_jobs_without_a_model_keeps_the_one_that_is_loaded(store: JobStore) -> None:
    def always_begins(queue: Queue) -> Start:
        return Start(min(lane.id for lane in queue.lanes), "comfyui", "gpu0", begins=True)

    for model in ("anime", ""):
        await store.enqueue(new_job(model=model))
        assert await store.lease("attempt", always_begins) is not None
    assert (await store.line(10)).queue.batches["gpu0"].model == "anime"


async def test_a_lease_ends_without_a_heartbeat_and_the_old_token_with_it(store: JobStore, clock: Ticker) -> None:
    await store.enqueue(new_job())
    job = await leased(store)
    clock.now += 14
    assert await store.heartbeat({job.id: job.token}) == frozenset()
    clock.now += 14
    assert await store.adopt() == []
    clock.now += 2

    (adopted,) = await store.adopt()

    assert (adopted.id, adopted.attempt, adopted.attempts, adopted.takeovers) == (job.id, "attempt", 1, 1)
    assert adopted.token > job.token
    assert await store.heartbeat({job.id: job.token}) == {job.id}
    assert not await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED))
    assert await store.finish(job.id, adopted.token, Outcome(JobState.SUCCEEDED))
    assert await store.heartbeat({job.id: adopted.token}) == {job.id}


async def test_who_is_alone_takes_over_at_once(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await leased(store)
    assert await store.adopt() == []
    assert [adopted.id for adopted in await store.adopt(everything=True)] == [job.id]


async def test_a_machine_that_started_anew_ends_leases_but_no_wait(opener: Opener, tmp_path: Path) -> None:
    async with opener(tmp_path, clock=Ticker(10_000.0)) as store:
        await store.enqueue(new_job())
        running = await leased(store)
        queued = await store.enqueue(new_job(expires_in=100))
    async with opener(tmp_path, clock=Ticker(50.0)) as store:
        assert [job.id for job in await store.adopt()] == [running.id]
        assert await store.expire() == []
        assert [lane.waited for lane in (await store.line(10)).queue.lanes] == [0.0]
    async with opener(tmp_path, clock=Ticker(151.0)) as store:
        assert await store.expire() == [queued.id]


async def test_another_machine_starts_every_wait_anew(opener: Opener, tmp_path: Path) -> None:
    """Also one that has been up for longer: its readings are greater, and mean something else."""
    async with opener(tmp_path, clock=Ticker(50.0), machine="old") as store:
        await store.enqueue(new_job(expires_in=100))
        job = await leased(store)
        await store.enqueue(new_job(expires_in=100))
    clock = Ticker(10_000.0)
    async with opener(tmp_path, clock=clock, machine="new") as store:
        assert await store.expire() == []
        (adopted,) = await store.adopt(everything=True)
        assert await store.release(job.id, adopted.token)
        clock.now += 5.0
        line = await store.line(10)
        assert [lane.waited for lane in line.queue.lanes] == [5.0]
        assert [batch.age for batch in line.queue.batches.values()] == [5.0]


@pytest.mark.parametrize("now", [10.0, 20_000.0])
async def test_a_job_that_runs_over_a_restart_of_the_machine_waits_from_then_on(
    opener: Opener, tmp_path: Path, now: float
) -> None:
    async with opener(tmp_path, clock=Ticker(10_000.0)) as store:
        await store.enqueue(new_job())
        job = await leased(store)
    clock = Ticker(now)
    async with opener(tmp_path, clock=clock) as store:
        (adopted,) = await store.adopt(everything=True)
        assert await store.release(job.id, adopted.token)
        clock.now += 5_000.0
        waited = [lane.waited for lane in (await store.line(10)).queue.lanes]
    assert waited == [5_000.0 + max(0.0, now - 10_000.0)]


async def test_a_job_that_was_let_go_is_anybodys_and_nothing_ended_under_it(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await leased(store)
    await store.let_go({job.id: job.token - 1, "unknown": 1})
    assert await store.adopt() == []
    await store.let_go({job.id: job.token})
    (adopted,) = await store.adopt()
    assert (adopted.id, adopted.takeovers) == (job.id, 0)


async def test_a_job_that_began_does_not_expire_and_one_that_never_did_does(store: JobStore, clock: Ticker) -> None:
    for refund in (False, True):
        await store.enqueue(new_job(expires_in=60))
        job = await leased(store)
        clock.now += 300
        await store.release(job.id, job.token, refund=refund)
        assert await store.expire() == ([job.id] if refund else [])
        assert (await store.get(job.id)).started is None or not refund
        await store.cancel(job.id)


async def test_a_job_that_fails_after_its_cancel_is_cancelled(store: JobStore) -> None:
    for state, expected in ((JobState.FAILED, JobState.CANCELLED), (JobState.SUCCEEDED, JobState.SUCCEEDED)):
        await store.enqueue(new_job())
        job = await leased(store)
        await store.cancel(job.id)
        assert await store.finish(job.id, job.token, Outcome(state, error=ErrorRecord("timed_out", "Too late.")))
        ended = await store.get(job.id)
        assert ended.state is expected
        assert (ended.error is None) == (expected is JobState.CANCELLED)


async def test_what_no_encoding_has_is_stored_as_a_question_mark(store: JobStore) -> None:
    await store.enqueue(new_job())
    job = await leased(store)
    odd, value = "half \ud800", {"a \udfff": ["b \ud800", 2**64 - 1, None]}
    await store.record_progress(job.id, job.token, Progress(0.5, text=odd))
    assert (await store.get(job.id)).progress.text == "half ?"
    outcome = Outcome(
        JobState.FAILED, outputs=[Output("1", "json", value)], error=ErrorRecord("x", odd), warnings=(odd,)
    )
    assert await store.finish(job.id, job.token, outcome)
    ended = await store.get(job.id)
    assert [output.value for output in ended.outputs] == [{"a ?": ["b ?", 2**64 - 1, None]}]
    assert (ended.error and ended.error.message, ended.warnings) == ("half ?", ("half ?",))


async def test_the_forecast_reads_only_lanes_that_wait(store: JobStore, clock: Ticker) -> None:
    for template in ("a", "b"):
        await store.enqueue(new_job(template=template))
        job = await leased(store)
        clock.now += 7.0
        await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED))
    await store.enqueue(new_job(template="b"))
    assert list((await store.line(10)).seconds.values()) == [7.0]


async def test_a_job_expires_only_while_it_waits(store: JobStore, clock: Ticker) -> None:
    running = await store.enqueue(new_job(expires_in=60))
    await leased(store)
    late, patient = await store.enqueue(new_job(expires_in=60)), await store.enqueue(new_job())
    clock.now += 61

    assert await store.expire() == [late.id]
    assert await store.expire() == []

    expired = await store.get(late.id)
    assert expired.state is JobState.EXPIRED
    assert expired.error is not None and expired.error.hint
    assert [job.id for job in await store.active()] == [running.id, patient.id]


async def test_a_full_queue_says_when_to_try_again(store: JobStore, clock: Ticker) -> None:
    await store.enqueue(new_job())
    job = await leased(store)
    clock.now += 12
    await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED))
    for _ in range(5):
        await store.enqueue(new_job())
    with pytest.raises(Overloaded, match="in about 12 s") as caught:
        await store.enqueue(new_job())
    assert caught.value.details["retry_after"] == 12


async def test_one_owner_cannot_fill_the_queue_of_all(opener: Opener, tmp_path: Path) -> None:
    async with opener(tmp_path, limits=QueueLimits(jobs=4, per_owner=2)) as store:
        for _ in range(2):
            await store.enqueue(new_job("ann"))
        with pytest.raises(Overloaded):
            await store.enqueue(new_job("ann"))
        for _ in range(2):
            await store.enqueue(new_job("bob"))
        with pytest.raises(Overloaded):
            await store.enqueue(new_job("eve"))


async def test_durations_are_learned_by_template_and_model(store: JobStore, clock: Ticker) -> None:
    for seconds in (10, 20):
        await store.enqueue(new_job(model="anime"))
        job = await leased(store)
        clock.now += seconds
        await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED))
    waiting = await store.enqueue(new_job(model="anime"))
    await store.enqueue(new_job(model="photo"))

    line = await store.line(10)

    assert line.waiting[0].job == waiting.id
    assert line.seconds == {line.waiting[0].lane: pytest.approx(13.0)}
    await leased(store)
    clock.now += 3
    assert (await store.line(10)).running == [("comfyui", pytest.approx(10.0))]


async def test_what_failed_or_changed_hands_teaches_nothing(store: JobStore, clock: Ticker) -> None:
    for state in (JobState.FAILED, JobState.SUCCEEDED):
        await store.enqueue(new_job())
        await leased(store)
        clock.now += 100
        (job,) = await store.adopt()
        await store.finish(job.id, job.token, Outcome(state))
    await store.enqueue(new_job())
    assert (await store.line(10)).seconds == {}


async def test_modes_are_kept(opener: Opener, tmp_path: Path) -> None:
    async with opener(tmp_path) as store:
        await store.set_mode("big", Mode.PAUSED)
        await store.set_mode("big", Mode.DRAINING)
        await store.set_mode("small", Mode.PAUSED)
        await store.set_mode("small", Mode.ACTIVE)
    async with opener(tmp_path) as store:
        assert await store.modes() == {"big": Mode.DRAINING}


async def test_active_jobs_are_those_of_their_owner_in_line(store: JobStore) -> None:
    jobs = [await store.enqueue(new_job(owner)) for owner in ("ann", "bob", "ann", "ann")]
    await leased(store)
    assert [job.id for job in await store.active("ann")] == [jobs[0].id, jobs[2].id, jobs[3].id]
    assert [job.id for job in await store.active(limit=2)] == [jobs[0].id, jobs[1].id]


async def test_a_policy_that_changes_its_mind_starts_nothing(store: JobStore) -> None:
    """It is asked once to look, and again in the transaction: in between another process may have taken the job."""
    job = await store.enqueue(new_job())
    answers = [None, Start(1, "comfyui", "gpu0")]
    assert await store.lease("attempt", lambda queue: answers.pop()) is None
    assert answers == []
    assert (await store.get(job.id)).state is JobState.QUEUED
