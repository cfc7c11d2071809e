"""How far one's own pictures are, and stopping those and no others."""

from __future__ import annotations

import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from comfy_mcp.jobs import JobState
from tests.proxy.a1111.conftest import Front, Serve

LONG: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "steps": 100}
SHORT = LONG | {"steps": 2}


async def until(told: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    with anyio.fail_after(20):
        while not holds(found := await told()):
            await anyio.sleep(0.02)
        return found


async def asked(front: Front, user: str, body: dict[str, Any], into: dict[str, httpx.Response]) -> None:
    into[user] = await front.post("txt2img", body, x_user_id=user)


async def test_progress_is_told_with_a_preview_while_a_picture_is_painted(serve: Serve, slow_url: str) -> None:
    answers: dict[str, httpx.Response] = {}
    async with serve(slow_url) as front, anyio.create_task_group() as tasks:
        tasks.start_soon(asked, front, "ann", LONG | {"n_iter": 2}, answers)
        told = await until(lambda: front.get("progress"), lambda told: told["current_image"] is not None)
        assert 0 < told["progress"] < 0.5
        assert told["eta_relative"] > 0
        state = told["state"]
        assert (state["job_count"], state["job_no"], state["sampling_steps"]) == (2, 0, 100)
        assert 0 < state["sampling_step"] < 100
        assert state["job"] in {job.id for job in await front.workbench.active()}
        Image.open(io.BytesIO(base64.b64decode(told["current_image"]))).verify()
        assert (await front.get("progress?skip_current_image=true"))["current_image"] is None
        assert (await front.post("interrupt", {})).json() == {}
    assert answers["ann"].status_code == 502
    assert answers["ann"].json()["error"] == "interrupted"


async def test_who_waits_in_the_queue_is_told_so(serve: Serve, slow_url: str) -> None:
    answers: dict[str, httpx.Response] = {}
    async with serve(slow_url, forwarded_users=True) as front, anyio.create_task_group() as tasks:
        tasks.start_soon(asked, front, "ann", LONG, answers)
        await until(lambda: front.get("progress", x_user_id="ann"), lambda told: told["progress"] > 0)
        tasks.start_soon(asked, front, "bob", SHORT, answers)
        told = await until(lambda: front.get("progress", x_user_id="bob"), lambda told: told["state"]["job_count"] == 1)
        assert (told["progress"], told["current_image"]) == (0.0, None)
        assert told["textinfo"].startswith("Waiting in the queue")
        await front.post("interrupt", None, x_user_id="ann")
    assert answers["bob"].status_code == 200


@pytest.mark.parametrize("order", ["interrupt", "skip"])
async def test_an_order_to_stop_leaves_neighbours_alone(serve: Serve, slow_url: str, order: str) -> None:
    answers: dict[str, httpx.Response] = {}
    other: dict[str, Any] = {}
    async with serve(slow_url, forwarded_users=True) as front:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, front, "ann", LONG, answers)
            await until(lambda: front.get("progress", x_user_id="ann"), lambda told: told["progress"] > 0)
            tasks.start_soon(asked, front, "bob", SHORT, answers)
            await until(lambda: front.get("progress", x_user_id="bob"), lambda told: told["state"]["job_count"] == 1)
            body = {"template": "txt2img", "values": {"prompt": "a cat", "width": 64, "height": 64, "steps": 2}}
            other = (await front.client.post("/api/v1/jobs", json=body, headers={"X-User-Id": "ann"})).json()
            assert (await front.client.post(f"/sdapi/v1/{order}", headers={"X-User-Id": "ann"})).status_code == 200
        assert (answers["ann"].status_code, answers["bob"].status_code) == (502, 200)
        ended = await front.workbench.wait(other["id"], 20)
        assert ended.state is JobState.SUCCEEDED


async def test_an_order_to_stop_ends_what_is_painted_and_not_what_waits(serve: Serve, slow_url: str) -> None:
    answers: dict[str, httpx.Response] = {}

    async def second() -> None:
        answers["second"] = await front.post("txt2img", SHORT)

    async with serve(slow_url) as front:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, front, "ann", LONG, answers)
            await until(lambda: front.get("progress"), lambda told: told["progress"] > 0)
            tasks.start_soon(second)
            await until(lambda: front.get("progress"), lambda told: told["state"]["job_count"] == 2)
            await front.post("interrupt", {})
        assert (answers["ann"].status_code, answers["second"].status_code) == (502, 200)


async def test_an_order_to_stop_ends_nothing_that_only_waits(serve: Serve, slow_url: str) -> None:
    answers: dict[str, httpx.Response] = {}
    async with serve(slow_url, forwarded_users=True) as front:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, front, "ann", LONG | {"steps": 40}, answers)
            await until(lambda: front.get("progress", x_user_id="ann"), lambda told: told["progress"] > 0)
            tasks.start_soon(asked, front, "bob", SHORT, answers)
            await until(lambda: front.get("progress", x_user_id="bob"), lambda told: told["state"]["job_count"] == 1)
            assert (await front.post("skip", {}, x_user_id="bob")).json() == {}
        assert (answers["ann"].status_code, answers["bob"].status_code) == (200, 200)


async def test_an_order_to_stop_with_nothing_to_stop_is_taken(front: Front) -> None:
    assert (await front.client.post("/sdapi/v1/interrupt")).json() == {}


async def test_a_client_that_hangs_up_gives_its_job_up(serve: Serve, slow_url: str) -> None:
    async with serve(slow_url) as front:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(front.post, "txt2img", LONG)
            await until(lambda: front.get("progress"), lambda told: told["progress"] > 0)
            tasks.cancel_scope.cancel()
        job = (await front.workbench.jobs(limit=1))[0]
        ended = await front.workbench.wait(job.id, 20)
        assert ended.state is JobState.CANCELLED
        assert (await until(lambda: front.get("progress"), lambda told: told["state"]["job_count"] == 0))[
            "progress"
        ] == 0
