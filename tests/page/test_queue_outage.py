"""What is told of a job whose backend ends under it, and of a person whose token ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import expect

from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.engines import EngineProcess, running_engine
from tests.page.conftest import At
from tests.page.test_queue import TOKEN, asked, at_work

AWAY = "comfyui does not answer; the job waits for it."


@pytest.fixture
def engine() -> Generator[EngineProcess]:
    with running_engine("--step-delay", "0.1") as running:
        yield running


async def told_once(http: httpx.AsyncClient, path: str, true: Callable[[dict[str, Any]], bool]) -> None:
    """Follow a stream until something in it is so; within seconds."""
    with anyio.fail_after(8):
        async with http.stream("GET", path) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:") and true(json.loads(line.removeprefix("data:"))):
                    return
    raise AssertionError(f"{path} ended.")


def said(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told["said"].startswith(text)


def at_step(job: str, text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told.get("progress", {}).get(job, {}).get("step") == text


async def runs_on(workbench: Workbench, job: str) -> None:
    with anyio.fail_after(20):
        async for current in workbench.follow(job):
            if current.progress.value:
                return


async def test_a_backend_that_dies_under_a_job_is_told_at_once_and_so_is_the_second_try(
    tmp_path: Path, engine: EngineProcess
) -> None:
    async with (
        at_work(tmp_path, engine.url) as (workbench, url),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        job = await asked(workbench, "a lighthouse", steps=150)
        await runs_on(workbench, job)
        shown = (await http.get("/queue")).text
        assert f'href="/tools/txt2img?run={job}"' in shown and "Started again" not in shown

        run = f"/tools/txt2img/runs/{job}/events"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told_once, http, run, said(AWAY))
            tasks.start_soon(told_once, http, "/queue/events", at_step(job, AWAY))
            engine.kill()
        shown = (await http.get("/queue")).text
        assert AWAY in shown and ">Away<" in shown

        engine.start()
        await told_once(http, run, said("Started again, try 2. Step"))
        shown = (await http.get("/queue")).text
        assert "Started again, try 2" in shown and AWAY not in shown
        await workbench.cancel(job)


async def test_jobs_that_were_cancelled_do_not_take_the_place_of_those_that_were_made(
    tmp_path: Path, embedded_url: str
) -> None:
    async with (
        at_work(tmp_path, embedded_url) as (workbench, url),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        made = await asked(workbench, "a heron")
        await workbench.wait(made, 20)
        await workbench.set_mode("comfyui", Mode.PAUSED)
        for number in range(14):
            await asked(workbench, f"fox {number}")
        waiting = (await http.get("/queue")).text
        assert 'aria-label="Move: Text to image fox 3"' in waiting
        await workbench.line.clear("local")
        shown = (await http.get("/queue")).text
        assert f'data-key="{made}"' in shown
        assert shown.count(">Cancelled</span>") == 3
        assert 'aria-label="Try again: Text to image fox ' in shown
        await workbench.set_mode("comfyui", Mode.ACTIVE)
        shown = (await http.get("/queue")).text
        assert 'aria-describedby="drain-help"' in shown and 'id="drain-help"' in shown


async def test_who_is_signed_out_while_the_queue_is_open_comes_to_sign_in(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with at_work(tmp_path, embedded_url, token=TOKEN) as (workbench, url), person(url) as somebody:
        token = await workbench.tokens.add(Token("ann"))
        page = somebody.page
        await somebody.go("/sign-in?to=/queue")
        await page.get_by_label("Token").fill(token)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nothing runs.")).to_be_visible()
        somebody.expected += ["401", "EventSource"]
        await page.context.clear_cookies()
        # As when the connection breaks: it is opened anew.
        for hidden in ("true", "false"):
            await page.evaluate(
                f"""Object.defineProperty(document, "hidden", {{ value: {hidden}, configurable: true }});
                document.dispatchEvent(new Event("visibilitychange"));"""
            )
        await page.wait_for_url("**/sign-in?to=/queue*")
