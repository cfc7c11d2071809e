"""One backend, one answer or one full disk that misbehaves: the queue and everybody else go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from comfy_mcp.assets import Assets
from comfy_mcp.backends import BackendConfig
from comfy_mcp.dispatch import Limits
from comfy_mcp.errors import BackendError, BackendUnavailable, DatabaseUnavailable, NotFound, StorageUnavailable
from comfy_mcp.jobs import Asset, BoundWorkflow, File, JobState, Output, Progress, Result, Run, Upload
from comfy_mcp.store import Mode, NewJob, Outcome, SqliteStore
from tests.comfyui.scripted import PNG
from tests.dispatch.conftest import BEAT, bench, until
from tests.dispatch.scripted import Scripted

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]
Progressed = Callable[[Progress], None]


async def test_a_gateway_without_its_backend_ends_no_job(tmp_path: Path, log: list[str]) -> None:
    class Away(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            if self.probes == 0:
                raise BackendUnavailable("It answered with status 502.", reached=False)
            return await super().run(run, on_progress)

    async with bench(tmp_path, ONE, [Away("llm", log, TEXT)]) as on:
        done = await on.ended(*[await on.queue(str(n)) for n in range(5)])
    assert [job.state for job in done] == [JobState.SUCCEEDED] * 5


async def test_a_failure_that_says_nothing_of_the_backend_does_not_count_as_work(
    tmp_path: Path, log: list[str]
) -> None:
    class Odd(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            raise BackendError("It failed while it read the workflow.")

    async with bench(tmp_path, ONE, [Odd("llm", log, TEXT)]) as on:
        member = on.pool.find("llm")
        assert member is not None
        member.breaker.unreachable(BackendUnavailable("It was away."))
        (done,) = await on.ended(await on.queue("one"))
        assert done.error is not None and done.error.code == "backend_error"
        assert member.breaker.circuit == "half-open"


async def test_half_a_character_in_a_text_ends_nothing(tmp_path: Path, log: list[str]) -> None:
    class Odd(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            on_progress(Progress(0.1, text="\ud800"))
            await anyio.sleep(1.2)
            return Result((), (Output("1", "text", "\ud800 once"),))

    async with bench(tmp_path, ONE, [Odd("llm", log, TEXT)]) as on:
        (done,) = await on.ended(await on.queue("one"))
    assert [output.value for output in done.outputs] == ["? once"]


async def test_a_defect_over_one_job_ends_that_job_only(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = SqliteStore.release

    async def broken(self: SqliteStore, job: str, token: int, *, refund: bool = False) -> bool:
        monkeypatch.setattr(SqliteStore, "release", release)
        raise ZeroDivisionError

    class Lost(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            if run.bound.values["prompt"] == "one":
                raise BackendUnavailable("It went down.", reached=True)
            return await super().run(run, on_progress)

    monkeypatch.setattr(SqliteStore, "release", broken)
    async with bench(tmp_path, ONE, [Lost("llm", log, TEXT)]) as on:
        one, two = await on.ended(await on.queue("one"), await on.queue("two"))
    assert one.error is not None and one.error.code == "internal_error"
    assert two.state is JobState.SUCCEEDED


async def test_a_node_that_a_loop_expanded_into_may_save(tmp_path: Path, log: list[str]) -> None:
    class Expanding(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            files = [File(node, "image", "a.png", "image/png", PNG) for node in ("4.0.0.1", "5.0.0.1", "gone")]
            return Result(tuple(files), ())

    graph = {
        "4": {"class_type": "Loop", "inputs": dict[str, object]()},
        "5": {"class_type": "PreviewImage", "inputs": dict[str, object]()},
    }
    async with bench(tmp_path, ONE, [Expanding("llm", log, TEXT)]) as on:
        (done,) = await on.ended(await on.queue("one", graph=graph))
    assert done.state is JobState.SUCCEEDED
    assert len(done.assets) == 2


async def _is_gone(assets: Assets, asset: Asset) -> bool:
    try:
        return await assets.read(asset) != PNG
    except NotFound:
        return True


async def test_what_another_process_deleted_right_before_it_was_recorded_is_stored_again(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = SqliteStore.finish

    class Drawing(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            return Result((File("4", "image", "a.png", "image/png", PNG),), ())

    async with bench(tmp_path, ONE, [Drawing("llm", log, TEXT)]) as on:

        async def too_late(self: SqliteStore, job: str, token: int, outcome: Outcome) -> bool:
            for asset in outcome.assets:
                await on.assets.delete(asset)
            return await finish(self, job, token, outcome)

        monkeypatch.setattr(SqliteStore, "finish", too_late)
        (done,) = await on.ended(await on.queue("one"))
        with anyio.fail_after(10):
            while await _is_gone(on.assets, done.assets[0]):
                await anyio.sleep(0.01)


async def test_a_picture_that_cannot_be_read_for_a_moment_is_read_again(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, refusals = Assets.read, [StorageUnavailable("The bucket does not answer.")]

    async def blinking(self: Assets, asset: Asset) -> bytes:
        if refusals:
            raise refusals.pop()
        return await read(self, asset)

    class Fed(Scripted):
        async def run(self, run: Run, on_progress: Progressed) -> Result:
            assert [picture.data for picture in run.images.values()] == [PNG]
            return Result((), ())

    monkeypatch.setattr(Assets, "read", blinking)
    monkeypatch.setattr("comfy_mcp.dispatch.attempt._STORAGE_RETRIES", (0.01,))
    async with bench(tmp_path, ONE, [Fed("llm", log, TEXT)]) as on:
        asset = await on.assets.keep(PNG, name_fields={})
        await on.store.add_asset("ann", asset)
        bound = BoundWorkflow({}, {"prompt": "one"}, uploads=(Upload(asset.id, ()),))
        job = await on.store.enqueue(NewJob("ann", "story", None, bound, needs=TEXT))
        (done,) = await on.ended(job)
    assert done.state is JobState.SUCCEEDED and refusals == []


async def test_a_drain_survives_a_database_that_refuses(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_card, refusals = SqliteStore.forget_card, [DatabaseUnavailable("locked")]

    async def locked(self: SqliteStore, card: str) -> None:
        if refusals:
            raise refusals.pop()
        await forget_card(self, card)

    monkeypatch.setattr(SqliteStore, "forget_card", locked)
    monkeypatch.setattr("comfy_mcp.backends.pool._LOOK_SECONDS", 0.1)
    async with bench(tmp_path, ONE, [Scripted("llm", log, TEXT)]) as on:
        await on.store.set_mode("llm", Mode.DRAINING)
        await until(lambda: log.count("llm unloads") == 2)
        await on.store.set_mode("llm", Mode.ACTIVE)
        (done,) = await on.ended(await on.queue("one"))
    assert done.state is JobState.SUCCEEDED


async def test_a_cancel_that_hangs_keeps_nobody_elses_job_running(tmp_path: Path, log: list[str]) -> None:
    class Hanging(Scripted):
        async def cancel(self, attempt: str) -> None:
            await anyio.sleep(8)

    backends = [Hanging("hung", log, frozenset({"pictures"}), seconds=15), Scripted("llm", log, TEXT, seconds=15)]
    async with bench(tmp_path, [BackendConfig("hung", "a:"), BackendConfig("llm", "b:")], backends) as on:
        castle, story = await on.queue("castle", needs="pictures"), await on.queue("story")
        await until(lambda: sum(" runs " in line for line in log) == 2)
        await on.store.cancel(castle.id)
        await anyio.sleep(0.7)
        await on.store.cancel(story.id)
        with anyio.fail_after(3):
            (done,) = await on.ended(story)
    assert done.state is JobState.CANCELLED


async def test_a_job_that_fails_after_its_cancel_is_cancelled(tmp_path: Path, log: list[str]) -> None:
    class Stubborn(Scripted):
        async def cancel(self, attempt: str) -> None:
            self.die()

    backends = [Stubborn("llm", log, TEXT, seconds=15)]
    async with bench(tmp_path, ONE, backends, Limits(beat=BEAT, attempts=1)) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        await on.store.cancel(job.id)
        (done,) = await on.ended(job)
    assert (done.state, done.error) == (JobState.CANCELLED, None)


async def test_ending_in_good_order_is_no_death_under_a_job(tmp_path: Path, log: list[str]) -> None:
    backend = Scripted("llm", log, TEXT, seconds=1.0)
    async with bench(tmp_path, ONE, [backend]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        attempt = (await on.store.get(job.id)).attempt
    assert attempt is not None
    backend.running[attempt] = anyio.Event()
    async with bench(tmp_path, ONE, [backend]) as on:
        (done,) = await on.ended(job)
    assert (done.takeovers, done.attempts, done.state) == (0, 1, JobState.SUCCEEDED)


async def test_what_a_backend_that_leaves_has_kept_is_forgotten(tmp_path: Path, log: list[str]) -> None:
    class Keeping(Scripted):
        async def forget(self, attempts: Sequence[str]) -> None:
            self.log.append(f"forgets {len(attempts)}")

    async with bench(tmp_path, ONE, [Keeping("llm", log, TEXT, seconds=0.5)]) as on:
        job = await on.queue("one")
        await until(lambda: "llm runs one" in log)
        await on.pool.change([])
        await on.ended(job)
        await until(lambda: log[-1] == "forgets 1")
