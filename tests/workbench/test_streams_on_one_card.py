"""Chats that wait and pictures on one card: in turn, but for what a running graph asks for itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from comfy_mcp.errors import BackendUnavailable, Interrupted
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.settings import Settings
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import Waiting
from tests.bridge.servers import End, Script, stream
from tests.texts import CHAT, text_server
from tests.workbench.streaming import answer, asking
from tests.workbenches import settings_for


def on_one_card(data: Path, comfyui: str, server: Script) -> Settings:
    servers = [{"name": "llm", "url": server.url, "card": "gpu0"}]
    return settings_for(
        data, comfyui, backends=[{"name": "studio", "url": comfyui, "card": "gpu0"}], llm_servers=servers
    )


def picture(steps: int = 4) -> JobRequest:
    values = {"prompt": "a castle", "steps": steps, "width": 64, "height": 64}
    return JobRequest("txt2img", values)


async def running(workbench: Workbench, job: Job) -> str:
    """The attempt, once ComfyUI computes."""
    async for now in workbench.follow(job.id):
        if now.state is JobState.RUNNING and now.progress.fraction > 0:
            # What was told last may have been seen before it was leased.
            attempt = (await workbench.job(job.id)).attempt
            assert attempt is not None
            return attempt
    raise AssertionError("it never ran")


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@asynccontextmanager
async def painting(data: Path, comfyui: str, server: Script) -> AsyncGenerator[tuple[Workbench, Job, str]]:
    """A picture that takes some seconds, and its attempt."""
    async with Workbench.open(on_one_card(data, comfyui, server)) as workbench:
        job = await workbench.submit(picture(steps=60))
        with anyio.fail_after(20):
            yield workbench, job, await running(workbench, job)


async def test_a_chat_waits_for_the_picture_and_a_node_of_the_picture_does_not(
    tmp_path: Path, slow_url: str, server: Script
) -> None:
    async with painting(tmp_path, slow_url, server) as (workbench, job, attempt):
        queued = [
            await workbench.submit(picture()),
            await workbench.submit(JobRequest("chat", {"model": "beta", "prompt": "x"})),
        ]
        async with workbench.streams.open(asking("outside"), priority=10) as outside:
            assert await anext(outside) == Waiting(0)
            assert (await answer(workbench, asking("inside"), within=attempt))[1].text == "alpha on inside"
            assert (await answer(workbench, asking("again"), within=attempt))[1].text == "alpha on again"
            assert (await workbench.job(job.id)).state is JobState.RUNNING
            assert [body["messages"][0]["content"] for body in server.bodies(CHAT)] == ["inside", "again"]
            await workbench.cancel(job.id)
            assert [event async for event in outside]
            assert outside.reply.text == "alpha on outside"
        ended = [await workbench.wait(each.id, 20) for each in queued]
    assert [each.state for each in ended] == [JobState.SUCCEEDED] * 2


async def test_a_graph_that_runs_may_ask_while_everything_is_drained(
    tmp_path: Path, slow_url: str, server: Script
) -> None:
    async with painting(tmp_path, slow_url, server) as (workbench, job, attempt):
        for name in ("studio", "llm"):
            await workbench.set_mode(name, Mode.DRAINING)
        assert (await answer(workbench, asking("inside"), within=attempt))[1].text == "alpha on inside"
        await workbench.cancel(job.id)


async def test_what_a_graph_asked_for_ends_when_its_job_is_cancelled(
    tmp_path: Path, slow_url: str, server: Script
) -> None:
    server.on(CHAT, stream(b": slow\n\n", End.HANG))
    async with painting(tmp_path, slow_url, server) as (workbench, job, attempt):
        async with workbench.streams.open(asking("inside"), within=attempt) as inside:
            await server.asked.wait()
            while not server.bodies(CHAT):
                await anyio.sleep(0.01)
            await workbench.cancel(job.id)
            with pytest.raises(Interrupted, match="has ended"):
                await anext(inside)
        await server.aborted.wait()
        assert (await workbench.wait(job.id, 10)).state is JobState.CANCELLED


async def test_somebody_elses_attempt_lets_nobody_in(tmp_path: Path, slow_url: str, server: Script) -> None:
    async with (
        painting(tmp_path, slow_url, server) as (workbench, job, attempt),
        workbench.streams.open(asking("bob"), owner="user:bob", within=attempt) as outside,
    ):
        assert await anext(outside) == Waiting(0)
        await workbench.cancel(job.id)
        assert [event async for event in outside]


async def test_where_another_process_hands_out_the_card_a_graph_is_told_so_and_does_not_wait_for_itself(
    tmp_path: Path, slow_url: str, server: Script
) -> None:
    async with (
        painting(tmp_path, slow_url, server) as (workbench, job, attempt),
        Workbench.open(on_one_card(tmp_path, slow_url, server), dispatch=False) as other,
    ):
        with pytest.raises(BackendUnavailable, match="another process"):
            await answer(other, asking("inside"), within=attempt)
        await workbench.cancel(job.id)
