"""Jobs over several backends: where they run, in which order, and what becomes of them when a backend fails."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import anyio

from comfy_mcp.backends import BackendConfig, Circuit
from comfy_mcp.jobs import JobState
from comfy_mcp.store import Choose, Mode, Queue, Start
from tests.dispatch.conftest import bench, until
from tests.dispatch.scripted import Scripted

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]


async def test_a_job_runs_where_all_it_needs_is(tmp_path: Path, log: list[str]) -> None:
    backends = [Scripted("painter", log, frozenset({"pictures"})), Scripted("llm", log, TEXT)]
    configs = [BackendConfig("painter", "a:"), BackendConfig("llm", "b:", tags=frozenset({"fast"}))]
    async with bench(tmp_path, configs, backends) as on:
        text, picture = await on.queue("story"), await on.queue("castle", needs="pictures")
        tagged = await on.queue("quick", needs="tag:fast")
        done = await on.ended(text, picture, tagged)
    assert [job.backend for job in done] == ["llm", "painter", "llm"]
    assert done[0].outputs[0].value == "Once upon a time."


async def test_a_job_that_nobody_can_run_waits_and_holds_up_no_other(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT)]) as on:
        stuck = await on.queue("castle", needs="pictures")
        (done,) = await on.ended(await on.queue("story"))
        assert done.state is JobState.SUCCEEDED
        assert (await on.store.get(stuck.id)).state is JobState.QUEUED


async def test_text_and_pictures_on_one_card_take_turns_in_batches(tmp_path: Path, log: list[str]) -> None:
    backends = [Scripted("painter", log, frozenset({"pictures"})), Scripted("llm", log, TEXT)]
    configs = [BackendConfig("painter", "a:", card="gpu0"), BackendConfig("llm", "b:", card="gpu0")]
    async with bench(tmp_path, configs, backends) as on:
        await on.store.set_mode("painter", Mode.PAUSED)
        await on.store.set_mode("llm", Mode.PAUSED)
        await anyio.sleep(1.2)
        kinds = ("pictures", "text") * 5
        jobs = [await on.queue(str(n), model=kind, needs=kind) for n, kind in enumerate(kinds)]
        await on.store.set_mode("painter", Mode.ACTIVE)
        await on.store.set_mode("llm", Mode.ACTIVE)
        await on.ended(*jobs)
    who = [line.split()[0] for line in log if " runs " in line]
    assert [name for name, _ in itertools.groupby(who)] == ["painter", "llm"]
    switch = log.index("painter unloads")
    assert log[switch - 1].startswith("painter ends") and log[switch + 1].startswith("llm runs")
    assert max(backend.most_at_once for backend in backends) == 1


async def test_a_backend_runs_as_many_at_once_as_it_may(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.2)
    async with bench(tmp_path, [BackendConfig("llm", "text:", concurrency=3)], [backend]) as on:
        await on.ended(*[await on.queue(str(n)) for n in range(7)])
    assert backend.most_at_once == 3


async def test_a_paused_backend_ends_its_job_and_gets_no_new_one(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT, seconds=1.5)]) as on:
        running = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        await on.store.set_mode("llm", Mode.PAUSED)
        waiting = await on.queue("two")
        (done,) = await on.ended(running)
        assert done.state is JobState.SUCCEEDED
        await anyio.sleep(0.3)
        assert (await on.store.get(waiting.id)).state is JobState.QUEUED
        await on.store.set_mode("llm", Mode.ACTIVE)
        assert [job.state for job in await on.ended(waiting)] == [JobState.SUCCEEDED]
    assert "llm unloads" not in log


async def test_a_drained_backend_frees_its_memory_after_its_last_job(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT, seconds=1.5)]) as on:
        await on.queue("one", model="small")
        await until(lambda: "llm runs one" in log)
        await on.store.set_mode("llm", Mode.DRAINING)
        await until(lambda: "llm unloads" in log)
        assert log == ["llm runs one", "llm ends one", "llm unloads"]
        with anyio.fail_after(2):
            while (await on.store.line(1)).queue.batches:
                await anyio.sleep(0.02)


async def test_what_cannot_be_reached_costs_no_attempt_and_another_takes_over(tmp_path: Path, log: list[str]) -> None:
    backends = [Scripted("first", log, TEXT, down=True), Scripted("second", log, TEXT, seconds=0.2)]
    configs = [BackendConfig("first", "a:"), BackendConfig("second", "b:")]
    async with bench(tmp_path, configs, backends) as on:
        jobs = await on.ended(*[await on.queue(str(n)) for n in range(4)])
        first = on.pool.find("first")
        assert first is not None and first.breaker.circuit is Circuit.OPEN
        assert on.pool.outage is None
        backends[0].down = False
        await until(lambda: first.breaker.circuit is not Circuit.OPEN)
        backends[1].down = True
        (last,) = await on.ended(await on.queue("last"))
    assert {(job.state, job.attempts, job.backend) for job in jobs} == {(JobState.SUCCEEDED, 1, "second")}
    assert (last.state, last.attempts, last.backend) == (JobState.SUCCEEDED, 1, "first")


async def test_what_dies_under_a_job_runs_it_again(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.3)
    async with bench(tmp_path, ONE, [backend]) as on:
        job = await on.queue("one", model="small")
        await until(lambda: "llm runs one" in log)
        backend.die()
        await until(lambda: on.pool.outage is not None)
        backend.down = False
        (done,) = await on.ended(job)
    assert (done.state, done.attempts) == (JobState.SUCCEEDED, 2)


async def test_a_backend_that_gets_stuck_is_left_alone(tmp_path: Path, log: list[str]) -> None:
    backends = [Scripted("bad", log, TEXT, stuck=True)]
    async with bench(tmp_path, [BackendConfig("bad", "a:")], backends) as on:
        stuck = await on.ended(*[await on.queue(str(n)) for n in range(3)])
        patient = await on.queue("patient")
        await anyio.sleep(0.3)
        assert (await on.store.get(patient.id)).state is JobState.QUEUED
    assert [job.error and job.error.code for job in stuck] == ["timed_out"] * 3


async def test_settings_that_change_add_remove_and_resize_backends(tmp_path: Path, log: list[str]) -> None:
    backends = [Scripted("old", log, TEXT, seconds=0.5), Scripted("new", log, TEXT, seconds=0.2)]
    async with bench(tmp_path, [BackendConfig("old", "a:")], backends) as on:
        running = await on.queue("one")
        await until(lambda: "old runs one" in log)
        await on.pool.change([BackendConfig("new", "b:")])
        later = [await on.queue(str(n)) for n in range(3)]
        done = await on.ended(running, *later)
        assert [job.backend for job in done] == ["old", "new", "new", "new"]
        await until(lambda: [member.name for member in on.pool.members] == ["new"])
        await on.pool.change([BackendConfig("new", "b:", concurrency=2)])
        await on.ended(*[await on.queue(str(n)) for n in range(4)])
    assert backends[1].most_at_once == 2


async def test_a_backend_at_another_address_is_another_one(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT)]) as on:
        before = on.pool.find("llm")
        await on.pool.change([BackendConfig("llm", "elsewhere:")])
        after = on.pool.find("llm")
        assert after is not None and after is not before
        assert [job.state for job in await on.ended(await on.queue("one"))] == [JobState.SUCCEEDED]


async def test_a_backend_that_answers_nonsense_stops_nobody_else(tmp_path: Path, log: list[str]) -> None:
    class Mad(Scripted):
        async def refresh(self) -> bool:
            if self.running:
                raise KeyError("queue_pending")
            return False

        async def forget(self, attempts: Sequence[str]) -> None:
            raise RuntimeError("closed")

        async def cancel(self, attempt: str) -> None:
            raise TypeError("no list")

    backends = [Mad("mad", log, frozenset({"pictures"}), seconds=1.5), Scripted("llm", log, TEXT)]
    configs = [BackendConfig("mad", "a:"), BackendConfig("llm", "b:")]
    async with bench(tmp_path, configs, backends) as on:
        castle = await on.queue("castle", needs="pictures")
        await until(lambda: "mad runs castle" in log)
        await on.store.cancel(castle.id)
        await on.queue("nowhere", needs="a model that nobody has")
        (done,) = await on.ended(castle)
        assert done.state is JobState.SUCCEEDED
        await anyio.sleep(1.2)
        assert [job.state for job in await on.ended(await on.queue("story"))] == [JobState.SUCCEEDED]


async def test_a_job_that_waited_too_long_expires(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT)]) as on:
        job = await on.queue("castle", needs="pictures", expires_in=0.2)
        (done,) = await on.ended(job)
    assert done.state is JobState.EXPIRED


async def test_the_policy_is_asked_in_the_transaction_that_leases(tmp_path: Path, log: list[str]) -> None:
    """Whoever leases between a look and a lease takes nothing away: both are one."""
    async with bench(tmp_path, [], []) as on:
        for n in range(20):
            await on.queue(str(n))
        taken: list[str] = []

        def oldest(queue: Queue) -> Start:
            return Start(min(queue.lanes, key=lambda lane: lane.oldest).id, "llm", "gpu0")

        async def take(choose: Choose) -> None:
            while (job := await on.store.lease("attempt", choose)) is not None:
                taken.append(job.id)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(take, oldest)
    assert len(taken) == len(set(taken)) == 20
