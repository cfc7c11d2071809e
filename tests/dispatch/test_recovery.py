"""What becomes of a job when the workbench, the database or the disk fails under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import pytest

from comfy_mcp.assets import Assets
from comfy_mcp.backends import BackendConfig, Member
from comfy_mcp.dispatch import Limits
from comfy_mcp.errors import DatabaseUnavailable, StorageUnavailable
from comfy_mcp.jobs import File, JobState, Progress, Result, Run
from comfy_mcp.store import Outcome, SqliteStore
from tests.comfyui.scripted import PNG
from tests.dispatch.conftest import BEAT, bench, until
from tests.dispatch.scripted import Scripted

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]


async def test_a_job_that_somebody_else_took_over_is_let_go(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=1.0)
    async with bench(tmp_path, ONE, [backend]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        (theirs,) = await on.store.adopt(everything=True)
        for _ in range(3):
            # As whoever holds it does: a lease that nobody renews is soon taken over again.
            await on.store.heartbeat({job.id: theirs.token})
            await anyio.sleep(BEAT)
        assert await on.store.finish(job.id, theirs.token, Outcome(JobState.SUCCEEDED))
        await anyio.sleep(1.2)
        done = await on.store.get(job.id)
    assert (done.state, done.outputs) == (JobState.SUCCEEDED, ())
    assert "llm ends one" not in log


async def test_a_result_is_recorded_as_soon_as_the_database_takes_it(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.1)
    async with bench(tmp_path, ONE, [backend]) as on:
        finish, refused = on.store.finish, [True, True]

        async def full_disk(job: str, token: int, outcome: Outcome) -> bool:
            if refused:
                refused.pop()
                raise DatabaseUnavailable("The disk is full.")
            return await finish(job, token, outcome)

        monkeypatch.setattr(on.store, "finish", full_disk)
        (done,) = await on.ended(await on.queue("one"))
    assert (done.state, done.attempts, done.takeovers) == (JobState.SUCCEEDED, 1, 0)
    assert log == ["llm runs one", "llm ends one"]


async def test_an_attempt_that_lost_the_database_is_soon_taken_up_again(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.1)
    async with bench(tmp_path, ONE, [backend]) as on:
        make_room, refused = on.pool.make_room, [True]

        async def no_database(member: Member, unload: tuple[str, ...]) -> None:
            if refused:
                refused.pop()
                raise DatabaseUnavailable("The disk is full.")
            await make_room(member, unload)

        monkeypatch.setattr(on.pool, "make_room", no_database)
        (done,) = await on.ended(await on.queue("one"))
    assert (done.state, done.takeovers) == (JobState.SUCCEEDED, 1)


async def test_pictures_that_cannot_be_stored_are_waited_for_until_somebody_cancels(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Painter(Scripted):
        async def run(self, run: Run, on_progress: Callable[[Progress], None]) -> Result:
            await super().run(run, on_progress)
            return Result((File("1", "image", "a.png", "image/png", PNG),), ())

    async def full(*args: object, **more: object) -> None:
        raise StorageUnavailable("The disk is full.")

    async with bench(tmp_path, ONE, [Painter("llm", log, TEXT)]) as on:
        job = await on.queue("one", graph={"1": {"class_type": "SaveImage", "inputs": {}}})
        monkeypatch.setattr(Assets, "keep", full)
        await until(lambda: "llm ends one" in log)
        await anyio.sleep(1.5)
        assert (await on.store.get(job.id)).state is JobState.RUNNING
        await on.store.cancel(job.id)
        assert [done.state for done in await on.ended(job)] == [JobState.CANCELLED]
        monkeypatch.undo()
        again = await on.queue("two", graph={"1": {"class_type": "SaveImage", "inputs": {}}})
        (done,) = await on.ended(again)
    assert len(done.assets) == 1


async def test_what_an_earlier_process_left_running_is_taken_up(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=0.5)
    async with bench(tmp_path, ONE, [backend]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        attempt = (await on.store.get(job.id)).attempt
    assert attempt is not None
    backend.running[attempt] = anyio.Event()
    async with bench(tmp_path, ONE, [backend]) as on:
        (done,) = await on.ended(job)
    assert (done.state, done.attempts, done.takeovers) == (JobState.SUCCEEDED, 1, 0)
    assert log == ["llm runs one", "llm resumes one", "llm ends one"]


async def test_what_was_lost_with_a_backend_that_is_gone_runs_elsewhere(tmp_path: Path, log: list[str]) -> None:
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT, seconds=5)]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
    async with bench(tmp_path, [BackendConfig("other", "b:")], [Scripted("other", log, TEXT)]) as on:
        (done,) = await on.ended(job)
    assert (done.state, done.backend, done.attempts) == (JobState.SUCCEEDED, "other", 1)


async def test_a_job_that_ends_the_workbench_each_time_is_set_aside(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(self: SqliteStore, held: Mapping[str, int]) -> None: ...

    monkeypatch.setattr(SqliteStore, "let_go", killed)
    backend = Scripted("llm", log, TEXT, seconds=5)
    limits = Limits(takeovers=2, beat=BEAT)
    async with bench(tmp_path, ONE, [backend], limits) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
    for _ in range(3):
        attempt = ""
        async with bench(tmp_path, ONE, [backend], limits) as on:
            attempt = (await on.store.get(job.id)).attempt or ""
            await anyio.sleep(0.1)
        backend.running.setdefault(attempt, anyio.Event())
    async with bench(tmp_path, ONE, [backend], limits) as on:
        (done,) = await on.ended(job)
    assert done.error is not None and done.error.code == "poison_job" and done.error.hint
