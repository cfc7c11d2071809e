"""Settings that are changed through the workbench hold at once, here and after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from annotated_types import Le

from comfy_mcp.errors import Conflict, InvalidParameter
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.workbench import Workbench
from tests.workbenches import served, settings_for


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


async def test_changes_hold_at_once_and_are_written(tmp_path: Path, file: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path / "data", embedded_url), dispatch=False) as workbench:
        second = {"name": "second", "url": embedded_url + "/", "concurrency": 2}
        await workbench.change_settings({"wait": 7.0, "max_queue": 3, "backends": [second]})
        assert (workbench.settings.wait, workbench.store.limits.jobs) == (7.0, 3)
        assert workbench.settings.comfyui_url == embedded_url, "what was given at the start stays"
        assert [member.name for member in workbench.pool.members] == ["second"]
        await workbench.change_settings({"backends": None, "wait": None})
        assert workbench.settings.wait is None
    assert load_settings().max_queue == 3 and load_settings().backends == []


async def test_what_needs_a_restart_is_written_and_not_taken_up(tmp_path: Path, file: Path, embedded_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path / "data", embedded_url), dispatch=False) as workbench:
        before = workbench.settings.rate
        await workbench.change_settings({"rate": before + 5})
        assert (workbench.settings.rate, load_settings().rate) == (before, before + 5)


async def test_the_most_that_can_be_set_is_worked_with(tmp_path: Path, file: Path, embedded_url: str) -> None:
    most = {
        name: bound.le
        for name, field in Settings.model_fields.items()
        for bound in field.metadata
        if isinstance(bound, Le) and name != "port"
    }
    assert most["max_queue"] == most["max_queue_per_owner"] == 1_000_000
    async with served(tmp_path / "data", embedded_url, **most) as http:
        asked = {"prompt": "a fox", "width": 64, "height": 64, "steps": 1}
        made = await http.post("/v1/images/generations", json={**asked, "response_format": "url"})
        assert made.status_code == 200, made.text
        assert (await http.get(made.json()["data"][0]["url"])).status_code == 200


async def test_refusals_change_nothing(
    tmp_path: Path, file: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Workbench.open(settings_for(tmp_path / "data", embedded_url, wait=3), dispatch=False) as workbench:
        monkeypatch.setenv("WORKBENCH_MAX_QUEUE", "5")
        for key, value, kind in (
            ("max_queue", 9, Conflict),
            ("wait", 9, Conflict),
            ("max_attempts", 0, InvalidParameter),
        ):
            with pytest.raises(kind) as refusal:
                await workbench.change_settings({"inline_images": "never", key: value})
            assert refusal.value.details["parameter"] == key
        assert not file.exists() and workbench.settings.inline_images == "auto"
