"""The queue as a front door sees it: keys, places, tags, several ComfyUIs, settings that change under way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from comfy_mcp.errors import Conflict, InvalidParameter, MissingModel, NotFound, Overloaded
from comfy_mcp.jobs import JobRequest, JobState
from comfy_mcp.settings import BackendSettings, load_settings
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from tests.engines import EngineProcess, running_engine
from tests.workbenches import settings_for

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 3}
LONG = {**SMALL, "steps": 20}


@pytest.fixture
def engine() -> Generator[EngineProcess]:
    """Twenty steps take two seconds here."""
    with running_engine("--step-delay", "0.1") as started:
        yield started


@pytest.fixture
def second() -> Generator[EngineProcess]:
    with running_engine("--step-delay", "0.1") as started:
        yield started


async def test_a_key_finds_its_job_also_when_comfyui_and_the_template_are_gone(
    tmp_path: Path, engine: EngineProcess
) -> None:
    request = JobRequest("txt2img", {**SMALL, "seed": 7})
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        job = await workbench.submit(request, "only-once")
        await workbench.wait(job.id, 20)
    engine.kill()
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        again = await workbench.submit(request, "only-once")
        assert (again.id, again.state) == (job.id, JobState.SUCCEEDED)
        urgent = JobRequest("txt2img", {**SMALL, "seed": 7}, priority=5)
        assert (await workbench.submit(urgent, "only-once")).id == job.id
        with pytest.raises(Conflict):
            await workbench.submit(JobRequest("txt2img", {**SMALL, "seed": 8}), "only-once")


async def test_what_comfyui_offered_is_enough_to_accept_a_job_while_it_is_down(
    tmp_path: Path, engine: EngineProcess
) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        await workbench.wait((await workbench.submit(JobRequest("txt2img", SMALL))).id, 20)
        engine.kill()
        first = await workbench.submit(JobRequest("txt2img", SMALL))
        with anyio.fail_after(10):
            while workbench.pool.outage is None:
                await anyio.sleep(0.05)
        second = await workbench.submit(JobRequest("txt2img", SMALL))
        engine.start()
        for job in (first, second):
            assert (await workbench.wait(job.id, 30)).state is JobState.SUCCEEDED


async def test_a_waiting_job_knows_its_place_and_when_it_starts(tmp_path: Path, engine: EngineProcess) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        await workbench.wait((await workbench.submit(JobRequest("txt2img", LONG))).id, 30)
        jobs = [await workbench.submit(JobRequest("txt2img", LONG)) for _ in range(4)]
        urgent = await workbench.submit(JobRequest("txt2img", LONG, priority=3))
        with anyio.fail_after(10):
            while (await workbench.job(jobs[0].id)).progress.value == 0:
                await anyio.sleep(0.02)
        await anyio.sleep(1.1)
        places = [(await workbench.job(job.id)).place for job in (urgent, *jobs[1:])]
        assert all(place is not None for place in places)
        assert [place.position for place in places if place] == [0, 1, 2, 3]
        starts = [place.starts_in for place in places if place and place.starts_in is not None]
        assert 0 <= starts[0] < 4
        assert all(1 < later - sooner < 4 for sooner, later in itertools.pairwise(starts))
        seen = [job.id for job in await workbench.active()]
        assert seen == [job.id for job in (*jobs, urgent)]
        for job in (*jobs, urgent):
            await workbench.cancel(job.id)


async def test_a_queue_that_is_full_says_when_to_come_back(tmp_path: Path, engine: EngineProcess) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url, max_queue=2)) as workbench:
        await workbench.set_mode("comfyui", Mode.PAUSED)
        for _ in range(2):
            await workbench.submit(JobRequest("txt2img", SMALL))
        with pytest.raises(Overloaded) as caught:
            await workbench.submit(JobRequest("txt2img", SMALL))
    assert caught.value.details["retry_after"] >= 1


@pytest.mark.parametrize(
    ("request_", "parameter"),
    [
        (JobRequest("txt2img", SMALL, priority=11), "priority"),
        (JobRequest("txt2img", SMALL, priority=-11), "priority"),
        (JobRequest("txt2img", SMALL, tags=("nowhere",)), "tags"),
        (JobRequest("txt2img", SMALL, expires_in=0), "expires_in"),
        (JobRequest("txt2img", SMALL, expires_in=float("nan")), "expires_in"),
    ],
)
async def test_what_the_queue_cannot_do_is_refused(
    tmp_path: Path, embedded_url: str, request_: JobRequest, parameter: str
) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url)) as workbench:
        with pytest.raises(InvalidParameter) as caught:
            await workbench.submit(request_)
        assert caught.value.parameter == parameter
        assert await workbench.jobs() == []


async def test_two_comfyuis_share_the_work_and_tags_choose(
    tmp_path: Path, engine: EngineProcess, second: EngineProcess
) -> None:
    backends = [BackendSettings.model_validate({"name": "big", "url": second.url, "tags": ["big"]})]
    settings = settings_for(tmp_path, engine.url, backends=backends)
    async with Workbench.open(settings) as workbench:
        assert [member.name for member in await workbench.backends()] == ["comfyui", "big"]
        jobs = [await workbench.submit(JobRequest("txt2img", {**LONG, "seed": n})) for n in range(4)]
        tagged = await workbench.submit(JobRequest("txt2img", {**SMALL, "seed": 9}, tags=("big",)))
        done = [await workbench.wait(job.id, 60) for job in jobs]
        assert Counter(job.backend for job in done) == {"comfyui": 2, "big": 2}
        assert (await workbench.wait(tagged.id, 60)).backend == "big"


async def test_a_job_goes_where_its_model_is(tmp_path: Path, engine: EngineProcess) -> None:
    with running_engine("--checkpoint", "only-here.safetensors") as other:
        settings = settings_for(tmp_path, f"{engine.url},{other.url}")
        async with Workbench.open(settings) as workbench:
            request = JobRequest("txt2img", {**SMALL, "checkpoint": "only-here.safetensors"})
            job = await workbench.wait((await workbench.submit(request)).id, 30)
            assert (job.state, job.backend, job.model) == (JobState.SUCCEEDED, "comfyui-2", "only-here.safetensors")
            with pytest.raises((MissingModel, InvalidParameter)):
                await workbench.submit(JobRequest("txt2img", {**SMALL, "checkpoint": "nowhere.safetensors"}))


async def test_a_paused_backend_stays_paused_over_a_restart_and_for_every_process(
    tmp_path: Path, embedded_url: str
) -> None:
    settings = settings_for(tmp_path, embedded_url)
    async with Workbench.open(settings) as workbench:
        with pytest.raises(NotFound, match="comfyui"):
            await workbench.set_mode("nothing", Mode.PAUSED)
        await workbench.set_mode("comfyui", Mode.PAUSED)
    async with Workbench.open(settings) as workbench, Workbench.open(settings, dispatch=False) as other:
        job = await workbench.submit(JobRequest("txt2img", SMALL))
        assert (await workbench.wait(job.id, 1)).state is JobState.QUEUED
        await other.set_mode("comfyui", Mode.ACTIVE)
        assert (await workbench.wait(job.id, 10)).state is JobState.SUCCEEDED


async def test_a_changed_settings_file_takes_effect_at_once(
    tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(file))
    file.write_text('[[backends]]\nname = "gone"\nurl = "http://127.0.0.1:9"\n')
    async with Workbench.open(load_settings(data=tmp_path / "data")) as workbench:
        assert [member.name for member in workbench.pool.members] == ["gone"]
        file.write_text(f'max_queue = 7\n[[backends]]\nname = "new"\nurl = "{embedded_url}"\nconcurrency = 2\n')
        with anyio.fail_after(20):
            while [(member.name, member.config.concurrency) for member in workbench.pool.members] != [("new", 2)]:
                await anyio.sleep(0.05)
        assert (workbench.settings.max_queue, workbench.store.limits.jobs) == (7, 7)
        job = await workbench.submit(JobRequest("txt2img", SMALL))
        assert (await workbench.wait(job.id, 20)).backend == "new"
        file.write_text("max_queue = 'many'\n")
        with anyio.fail_after(20):
            while "cannot be used" not in caplog.text:
                await anyio.sleep(0.05)
        assert [member.name for member in workbench.pool.members] == ["new"]
        file.write_text(f'max_queue = 8\n[[backends]]\nname = "new"\nurl = "{embedded_url}"\nconcurrency = 3\n')
        with anyio.fail_after(20):
            while [member.config.concurrency for member in workbench.pool.members] != [3]:
                await anyio.sleep(0.05)
        assert workbench.settings.max_queue == 8
