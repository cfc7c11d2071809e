"""The queue as a person watches and changes it: what runs, what waits and why, where, and what just ended."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import expect

from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy import listening
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.page.conftest import At
from tests.workbenches import served, settings_for

TOKEN = "a-token-of-sixteen"


@asynccontextmanager
async def at_work(data: Path, comfyui: str, **more: Any) -> AsyncGenerator[tuple[Workbench, str]]:
    """A workbench and its address."""
    async with Workbench.open(settings_for(data, comfyui, **more)) as workbench, listening(workbench) as address:
        yield workbench, address


async def asked(workbench: Workbench, prompt: str, *, owner: str = "local", steps: int = 2) -> str:
    job = await workbench.submit(JobRequest("txt2img", {"prompt": prompt, "steps": steps}, owner=owner))
    return job.id


async def test_a_person_watches_a_job_run_and_moves_and_cancels_those_that_wait(
    tmp_path: Path, slow_url: str, person: At
) -> None:
    async with at_work(tmp_path, slow_url) as (workbench, url), person(url) as somebody:
        page = somebody.page
        await asked(workbench, "a lighthouse at dusk", steps=150)
        for prompt in ("a fox", "a heron", "a mole"):
            await asked(workbench, prompt)
        await somebody.go("/queue")
        running, waiting = page.locator("[data-list=running] li"), page.locator("[data-list=waiting] li")
        await expect(running).to_contain_text("a lighthouse at dusk")
        await expect(running.locator(".step")).to_contain_text("of 150")
        await expect(running.locator("img.live")).to_have_attribute("src", re.compile("^data:image/"))
        await expect(waiting).to_have_count(3)
        await expect(waiting.nth(0)).to_contain_text("Waits for its turn on comfyui")
        await expect(waiting.nth(2)).to_have_attribute("data-number", "3")
        await somebody.check()

        await waiting.nth(2).get_by_role("button", name="Move").press("Enter")
        await page.get_by_role("button", name="First of mine").press("Enter")
        await expect(waiting.nth(0)).to_contain_text("a mole")
        await expect(page.get_by_role("dialog")).to_contain_text("Number 1 of 3")
        await somebody.check()
        await page.get_by_role("button", name="Down").press("Enter")
        await expect(page.get_by_role("dialog")).to_contain_text("Number 2 of 3")
        await page.get_by_label("Priority").fill("4")
        await page.get_by_role("button", name="Set").press("Enter")
        await expect(waiting.nth(0)).to_contain_text("Priority 4")
        await page.keyboard.press("Escape")
        await expect(waiting.nth(0).get_by_role("button", name="Move")).to_be_focused()

        await waiting.nth(0).get_by_role("button", name="Cancel").press("Enter")
        await expect(waiting).to_have_count(2)
        await expect(waiting.nth(0).get_by_role("button", name="Cancel")).to_be_focused()
        ended = page.locator("[data-list=ended] li")
        await ended.get_by_role("button", name="Try again").click()
        await expect(waiting).to_have_count(3)
        await page.get_by_role("button", name="Cancel all of mine").click()
        await page.get_by_label("Stop what runs, too").check()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel all of mine").click()
        await expect(waiting).to_have_count(0)
        await expect(page.get_by_text("Nothing runs.")).to_be_visible()


async def test_on_a_phone_in_the_dark_a_backend_is_paused_and_resumed_and_what_ended_is_shown(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with (
        at_work(tmp_path, embedded_url) as (workbench, url),
        person(url, phone=True, dark=True, chinese=True) as somebody,
    ):
        page = somebody.page
        await somebody.go("/queue")
        await page.get_by_role("button", name="暂停: comfyui").click()
        await expect(page.get_by_role("button", name="恢复: comfyui")).to_be_visible()
        await asked(workbench, "海边的灯塔")
        waiting = page.locator("[data-list=waiting] li")
        await expect(waiting).to_contain_text("已暂停：comfyui")
        await somebody.check()
        await page.get_by_role("button", name="恢复: comfyui").click()
        ended = page.locator("[data-list=ended] li")
        await expect(ended).to_contain_text("海边的灯塔")
        await expect(ended.locator("img")).to_be_visible()
        assert "/tools/txt2img?job=" in str(await ended.get_by_role("link").last.get_attribute("href"))
        await expect(waiting).to_have_count(0)
        await somebody.check()


async def test_who_has_no_right_to_pause_sees_their_own_jobs_and_how_many_others_there_are(
    tmp_path: Path, embedded_url: str
) -> None:
    async with at_work(tmp_path, embedded_url, token=TOKEN) as (workbench, url):
        token = await workbench.tokens.add(Token("ann"))
        await workbench.set_mode("comfyui", Mode.PAUSED)
        theirs, mine = await asked(workbench, "a secret"), await asked(workbench, "a heron", owner="ann")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
            shown = (await http.get("/queue")).text
            assert "a heron" in shown and "a secret" not in shown and 'value="pause"' not in shown
            assert "Of others 0 run and 1 wait. 1 of them are before your first." in shown
            for path, fields in (
                ("cancel", {}),
                ("move", {"to": "first"}),
                ("priority", {"priority": "1"}),
                ("again", {}),
            ):
                answer = await http.post(f"/queue/{path}", data={"job": theirs, **fields})
                assert answer.status_code == 404, (path, answer.status_code)
            assert (await http.post("/queue/backends", data={"order": "resume"})).status_code == 403
            assert (await http.post("/queue/clear", data={"all": "1"})).status_code == 303
        assert [job.id for job in await workbench.active()] == [theirs]
        assert (await workbench.job(mine)).state == "cancelled"


async def test_what_cannot_be_done_is_refused_with_what_to_do(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path, embedded_url) as http:
        for path, fields, status in (
            ("move", {"job": "nothing", "to": "first"}, 404),
            ("move", {"job": "nothing", "to": "up"}, 404),
            ("move", {"job": "nothing", "to": "sideways"}, 400),
            ("priority", {"job": "nothing", "priority": "11"}, 422),
            ("priority", {"job": "nothing", "priority": "high"}, 400),
            ("priority", {"job": "nothing", "priority": "-" + "9" * 5000}, 400),
            ("cancel", {"job": ""}, 404),
            ("again", {"job": "\x00"}, 404),
            ("backends", {"order": "stop"}, 400),
            ("backends", {"order": "pause", "backend": "nobody"}, 404),
        ):
            answer = await http.post(f"/queue/{path}", data=fields, headers={"HX-Request": "true"})
            assert answer.status_code == status, (path, fields, answer.status_code)
            assert "notice bad" in answer.text
