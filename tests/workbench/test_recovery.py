"""Nothing lost: jobs across kills of ComfyUI and of the workbench, cancels at any moment, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from comfy_mcp.errors import BackendUnavailable
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import write_manifest
from tests.engines import EngineProcess, running_engine
from tests.workbenches import settings_for

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 3}
LONG = {**SMALL, "steps": 30}


@pytest.fixture
def engine() -> Generator[EngineProcess]:
    """Thirty steps take three seconds here."""
    with running_engine("--step-delay", "0.1") as started:
        yield started


async def running(workbench: Workbench, job: str, attempt: int = 1) -> None:
    with anyio.fail_after(20):
        async for current in workbench.follow(job):
            if (current.attempts == attempt and current.progress.value >= 2) or current.state.terminal:
                return


async def ended(workbench: Workbench, job: str) -> Job:
    with anyio.fail_after(60):
        return await workbench.wait(job, 60)


async def executions(url: str) -> int:
    """How many prompts an engine has run since it started, those deleted from its history not counted."""
    async with httpx.AsyncClient() as http:
        return len((await http.get(f"{url}/history")).json())


@contextmanager
def serving(data: Path, comfyui: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_COMFYUI_URL": comfyui}
    command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[1].removesuffix("/mcp")
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


async def test_a_job_survives_a_kill_of_comfyui(tmp_path: Path, engine: EngineProcess) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        job = await workbench.submit(JobRequest("txt2img", LONG))
        await running(workbench, job.id)
        engine.kill()
        engine.start()
        done = await ended(workbench, job.id)
    assert (done.state, done.attempts, len(done.assets)) == (JobState.SUCCEEDED, 2, 1)


async def test_a_job_that_kills_comfyui_each_time_is_given_up(tmp_path: Path, engine: EngineProcess) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url, max_attempts=2)) as workbench:
        job = await workbench.submit(JobRequest("txt2img", LONG))
        for attempt in (1, 2):
            await running(workbench, job.id, attempt)
            engine.kill()
            engine.start()
        done = await ended(workbench, job.id)
    assert done.state is JobState.FAILED
    assert done.error is not None and done.error.code == "backend_lost" and done.error.hint


async def test_a_running_job_survives_a_kill_of_the_workbench_and_runs_once(
    tmp_path: Path, engine: EngineProcess
) -> None:
    with serving(tmp_path, engine.url) as (process, url):
        async with httpx.AsyncClient(base_url=url) as http:
            job = (await http.post("/api/v1/jobs", json={"template": "txt2img", "values": LONG})).json()["id"]
            with anyio.fail_after(20):
                while (await http.get(f"/api/v1/jobs/{job}")).json()["progress"]["value"] < 2:
                    await anyio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        done = await ended(workbench, job)
        assert (done.state, done.attempts, len(done.assets)) == (JobState.SUCCEEDED, 1, 1)
        assert len(await workbench.read(done.assets[0])) == done.assets[0].size


async def test_a_job_survives_a_kill_of_both(tmp_path: Path, engine: EngineProcess) -> None:
    with serving(tmp_path, engine.url) as (process, url):
        async with httpx.AsyncClient(base_url=url) as http:
            body = {"template": "txt2img", "values": LONG}
            jobs = [(await http.post("/api/v1/jobs", json=body)).json()["id"] for _ in range(2)]
            with anyio.fail_after(20):
                while (await http.get(f"/api/v1/jobs/{jobs[0]}")).json()["progress"]["value"] < 2:
                    await anyio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    engine.kill()
    engine.start()
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        assert [(await ended(workbench, job)).state for job in jobs] == [JobState.SUCCEEDED] * 2


async def test_an_accepted_job_waits_for_a_comfyui_that_is_down(tmp_path: Path, engine: EngineProcess) -> None:
    async with Workbench.open(settings_for(tmp_path, engine.url)) as workbench:
        first = await workbench.submit(JobRequest("txt2img", LONG))
        second = await workbench.submit(JobRequest("txt2img", SMALL))
        await running(workbench, first.id)
        engine.kill()
        await anyio.sleep(1.5)
        assert not (await workbench.job(second.id)).state.terminal
        engine.start()
        assert (await ended(workbench, first.id)).state is JobState.SUCCEEDED
        assert (await ended(workbench, second.id)).state is JobState.SUCCEEDED


async def test_without_comfyui_nothing_is_accepted(tmp_path: Path) -> None:
    async with Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9")) as workbench:
        with pytest.raises(BackendUnavailable) as caught:
            await workbench.submit(JobRequest("txt2img", SMALL))
        assert "WORKBENCH_COMFYUI_URL" in caught.value.hint
        assert await workbench.jobs() == []


@pytest.fixture
async def workbench(tmp_path: Path, engine: EngineProcess) -> AsyncGenerator[Workbench]:
    async with Workbench.open(settings_for(tmp_path, engine.url)) as opened:
        yield opened


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.4, 1.0])
async def test_a_cancel_at_any_moment_ends_one_job_and_no_neighbour(workbench: Workbench, delay: float) -> None:
    job = await workbench.submit(JobRequest("txt2img", LONG))
    neighbour = await workbench.submit(JobRequest("txt2img", SMALL))
    await anyio.sleep(delay)
    await workbench.cancel(job.id)
    assert (await ended(workbench, job.id)).state is JobState.CANCELLED
    assert (await ended(workbench, neighbour.id)).state is JobState.SUCCEEDED


async def test_a_cancel_of_an_ended_job_changes_nothing(workbench: Workbench) -> None:
    job = await workbench.submit(JobRequest("txt2img", SMALL))
    done = await ended(workbench, job.id)
    assert await workbench.cancel(job.id) == done


async def test_a_second_process_queues_watches_and_takes_over(tmp_path: Path, engine: EngineProcess) -> None:
    settings = settings_for(tmp_path, engine.url)
    async with Workbench.open(settings) as second, Workbench.open(settings) as third:
        with anyio.fail_after(5):
            while not (second.dispatching or third.dispatching):
                await anyio.sleep(0.01)
        assert second.dispatching and not third.dispatching
        job = await third.submit(JobRequest("txt2img", LONG))
        seen = [current.progress.value async for current in third.follow(job.id)]
        assert (await third.job(job.id)).state is JobState.SUCCEEDED
        assert max(seen) > 0


async def test_history_is_tidied_up_only_after_the_commit(workbench: Workbench, engine: EngineProcess) -> None:
    job = await workbench.submit(JobRequest("txt2img", SMALL))
    await ended(workbench, job.id)
    with anyio.fail_after(5):
        while await executions(engine.url):
            await anyio.sleep(0.05)


async def test_a_template_that_is_added_is_there_at_once(workbench: Workbench, tmp_path: Path) -> None:
    assert "mine" not in workbench.catalogue.templates
    folder = tmp_path / "templates" / "mine"
    folder.mkdir(parents=True)
    template = workbench.catalogue.get("txt2img")
    (folder / "manifest.toml").write_text(write_manifest(template.manifest))
    (folder / "workflow.json").write_text(json.dumps(template.graph))
    with anyio.fail_after(5):
        while "mine" not in workbench.catalogue.templates:
            await anyio.sleep(0.1)
