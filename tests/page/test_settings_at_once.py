"""Settings that several people change at the same moment: what each of them chose holds afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from comfy_mcp.settings import load_settings
from tests.workbenches import served

ROUNDS = 5
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


async def test_parts_of_one_table_that_are_chosen_at_once_all_hold(tmp_path: Path, embedded_url: str) -> None:
    async with served(tmp_path / "data", embedded_url) as http:
        for template in ("txt2img_lora", "inpaint", "upscale", "img2img"):
            chosen = dict.fromkeys(("txt2img", "img2img", "inpaint", "upscale"), template)
            posts = [http.post("/settings/options", data={f"a1111.{kind}": template}, headers=HTMX) for kind in chosen]
            answers = await asyncio.gather(*posts)
            assert [each.status_code for each in answers] == [200] * len(chosen), answers[0].text
            told = load_settings().a1111
            assert {kind: getattr(told, kind) for kind in chosen} == chosen


async def test_locks_of_several_tools_that_are_set_at_once_all_hold(tmp_path: Path, embedded_url: str) -> None:
    tools = ("txt2img", "txt2img_lora")
    async with served(tmp_path / "data", embedded_url) as http:
        for steps in range(1, ROUNDS + 1):
            form = {"prompt": "a fox", "steps": str(steps), "lock.steps": "on"}
            posts = [http.post(f"/tools/-/locks/{tool}", data=form, headers=HTMX) for tool in tools]
            answers = await asyncio.gather(*posts)
            assert [each.status_code for each in answers] == [200] * len(tools), answers[0].text
            assert load_settings().locked == {tool: {"steps": steps} for tool in tools}
            unlocked = [http.post(f"/tools/-/locks/{tool}", data={"prompt": "a fox"}, headers=HTMX) for tool in tools]
            await asyncio.gather(*unlocked)
            assert load_settings().locked == {}


async def test_a_form_that_changes_nothing_writes_nothing(tmp_path: Path, file: Path, embedded_url: str) -> None:
    async with served(tmp_path / "data", embedded_url) as http:
        answer = await http.post("/settings/options", data={"max_queue": "1000", "wait": ""}, headers=HTMX)
        assert answer.status_code == 200 and "Nothing was changed." in answer.text
        assert not file.exists()
