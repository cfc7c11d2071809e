"""What a hang-up and a retry mean to the jobs of a client that waits, over real sockets and a slow engine."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.proxy.failures import Words, translate_failures
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench
from tests.workbenches import settings_for

VALUES = {"width": 64, "height": 64}
RETRY = {"x-stainless-retry-count": "1"}


@dataclass(frozen=True, slots=True)
class Front:
    """A front door of one route: the body is a list of values, each of a job of `txt2img`; answered are their ids."""

    http: httpx.AsyncClient
    maker: Maker
    workbench: Workbench

    async def ask(self, *prompts: str, steps: int = 2, headers: dict[str, str] | None = None, by: str = "me") -> Any:
        body = [{**VALUES, "prompt": prompt, "steps": steps} for prompt in prompts]
        return (await self.http.post("/", params={"by": by}, json=body, headers=headers)).json()

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        with anyio.fail_after(20):
            while not await holds():
                await anyio.sleep(0.02)

    async def leave(self, prompt: str, steps: int = 150, headers: dict[str, str] | None = None) -> str:
        """Ask for something that takes long, hang up when it runs, and tell its id."""

        async def runs() -> bool:
            waited = self.maker.waited_for("me")
            return bool(waited) and (await self.workbench.job(waited[-1])).state is JobState.RUNNING

        job = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: self.ask(prompt, steps=steps, headers=headers))
            await self.until(runs)
            job = self.maker.waited_for("me")[-1]
            tasks.cancel_scope.cancel()
        await self.until(lambda: self.left(job))
        return job

    async def left(self, job: str) -> bool:
        """Whether it was noticed that nobody waits for it."""
        return not any(group.waiting for jobs, group in vars(self.maker)["_groups"].items() if job in jobs)

    async def clients(self, number: int) -> bool:
        """Whether so many wait for one job."""
        return [group.waiting for group in vars(self.maker)["_groups"].values()] == [number]

    async def ended(self, job: str) -> Job:
        with anyio.fail_after(20):
            return await self.workbench.wait(job, 20)

    async def forgotten(self, *by: str) -> bool:
        return not any(self.maker.waited_for(owner) for owner in by)


@asynccontextmanager
async def front(data: Path, comfyui: str, **more: Any) -> AsyncGenerator[Front]:
    async with Workbench.open(settings_for(data, comfyui, **more)) as workbench:
        maker, app = Maker(workbench), FastAPI()

        @app.post("/")
        async def make(request: Request, by: str) -> list[str]:  # pyright: ignore[reportUnusedFunction]
            asked = [JobRequest("txt2img", values, owner=by) for values in await request.json()]
            return [job.id for job in await maker.make(asked, request)]

        translate_failures(app, Words())
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="off"))
            async with maker.run(), anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, [listener])
                async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http:
                    yield Front(http, maker, workbench)
                # Else the engine, which the next test shares, would go on with it.
                for job in await workbench.active():
                    await workbench.cancel(job.id)
                await workbench.stopped(10)
                server.should_exit = True


@pytest.fixture
async def door(tmp_path: Path, slow_url: str) -> AsyncGenerator[Front]:
    async with front(tmp_path, slow_url) as opened:
        yield opened


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hung up has but a moment to come back."""
    monkeypatch.setattr("comfy_mcp.proxy.making._GRACE_SECONDS", 0.2)


async def together(*asking: Callable[[], Awaitable[Any]]) -> list[Any]:
    answers: list[Any] = []

    async def one(ask: Callable[[], Awaitable[Any]]) -> None:
        answers.append(await ask())

    async with anyio.create_task_group() as tasks:
        for ask in asking:
            tasks.start_soon(one, ask)
    return answers


async def test_two_who_ask_the_same_at_once_get_a_picture_each(door: Front) -> None:
    first, second = await together(lambda: door.ask("a cat"), lambda: door.ask("a cat"))
    assert first != second


async def test_a_retry_joins_what_is_waited_for(door: Front) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.ask("a cat", steps=10))
        await door.until(lambda: door.clients(1))
        begun = door.maker.waited_for("me")
        assert await door.ask("a cat", steps=10, headers=RETRY) == begun


async def test_who_asks_the_same_after_the_answer_gets_another_picture_but_a_retry_does_not(door: Front) -> None:
    first = await door.ask("a cat")
    await door.until(lambda: door.forgotten("me"))
    again = await door.ask("a cat", headers=RETRY)
    other = await door.ask("a cat")
    assert (again, other == first) == (first, False)


async def test_who_asks_the_same_right_after_the_answer_gets_another_picture(door: Front) -> None:
    first = await door.ask("a cat")
    # Before the task that waits for one who hung up has done anything.
    group = next(iter(vars(door.maker)["_groups"].values()))
    assert (group.waiting, group.served) == (0, True)
    assert await door.ask("a cat") != first


async def test_a_database_that_fails_ends_no_front_door(
    door: Front, brief: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(job: str, owner: str | None = None) -> Job:
        raise RuntimeError("the disk is on fire")

    with monkeypatch.context() as patched:
        patched.setattr(door.workbench.store, "cancel", broken)
        await door.leave("a cat", steps=30)
        await door.until(lambda: door.forgotten("me"))
    assert "could not be cancelled" in caplog.text
    assert len(await door.ask("a dog")) == 1


async def test_who_hangs_up_and_comes_back_gets_the_same_job(door: Front) -> None:
    job = await door.leave("a cat", steps=30)
    assert await door.ask("a cat", steps=30) == [job]


async def test_who_does_not_come_back_loses_the_job_and_nobody_else_does(door: Front, brief: None) -> None:
    job = await door.leave("a cat")
    (other,) = await door.ask("a cat", by="neighbour")
    assert (await door.ended(job)).state is JobState.CANCELLED
    assert (await door.ended(other)).state is JobState.SUCCEEDED
    await door.until(lambda: door.forgotten("me", "neighbour"))


async def test_nothing_is_remembered_for_good(door: Front, brief: None) -> None:
    await door.ask("a cat")
    await door.leave("a dog")
    await door.ask("a bird", headers={"idempotency-key": "once"})

    async def nothing() -> bool:
        return vars(door.maker)["_groups"] == vars(door.maker)["_latest"] == {}

    await door.until(nothing)


async def test_a_job_that_is_kept_goes_on(tmp_path: Path, slow_url: str, brief: None) -> None:
    async with front(tmp_path, slow_url, abandoned="keep") as door:
        job = await door.leave("a cat")
        await door.until(lambda: door.forgotten("me"))
        assert (await door.workbench.job(job)).state is JobState.RUNNING
        await door.workbench.cancel(job)


async def test_a_key_makes_one_job_however_often_and_at_once_it_is_sent(door: Front, brief: None) -> None:
    key = {"idempotency-key": "only-once"}
    first, second = await together(lambda: door.ask("a cat", headers=key), lambda: door.ask("a cat", headers=key))
    await door.until(lambda: door.forgotten("me"))
    assert first == second == await door.ask("a cat", headers=key)
    assert (await door.ask("a dog", headers=key))["error"]["code"] == "idempotency_conflict"


async def test_one_of_two_that_leaves_takes_nothing_from_the_other(door: Front, brief: None) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.ask("a cat", steps=150))
        await door.until(lambda: door.clients(1))
        async with anyio.create_task_group() as others:
            others.start_soon(lambda: door.ask("a cat", steps=150, headers=RETRY))
            await door.until(lambda: door.clients(2))
            others.cancel_scope.cancel()
        await door.until(lambda: door.clients(1))
        (job,) = door.maker.waited_for("me")
        assert not (await door.workbench.wait(job, 1)).state.terminal
        tasks.cancel_scope.cancel()


async def test_who_sends_a_key_keeps_the_job_and_may_come_back_any_time(door: Front, brief: None) -> None:
    key = {"idempotency-key": "patient"}
    job = await door.leave("a cat", steps=30, headers=key)
    await door.until(lambda: door.forgotten("me"))
    assert (await door.workbench.job(job)).state is JobState.RUNNING
    assert await door.ask("a cat", steps=30, headers=key) == [job]


async def test_a_retry_of_what_failed_makes_it_anew(door: Front) -> None:
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await door.ask("a cat", steps=150))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await door.until(lambda: door.clients(1))
        await door.workbench.cancel(door.maker.waited_for("me")[0])
    assert answers[0]["error"]["code"] == "interrupted"
    await door.until(lambda: door.forgotten("me"))

    first = [job.id for job in await door.workbench.jobs("me")]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: door.ask("a cat", steps=150, headers=RETRY))
        await door.until(lambda: door.clients(1))
        assert door.maker.waited_for("me") != first
        tasks.cancel_scope.cancel()


async def test_of_several_of_which_one_is_refused_none_is_left(door: Front) -> None:
    told = await door.ask("a cat", "a dog", "")
    assert len(told) == 3
    refused = await door.http.post("/", params={"by": "you"}, json=[{**VALUES, "prompt": "a"}, {"prompt": "b", "n": 1}])
    assert refused.status_code == 422
    (job,) = await door.workbench.jobs("you")
    assert (await door.ended(job.id)).state is JobState.CANCELLED
    assert await door.forgotten("you")
