"""Changing the settings file: what a person wrote stays, and nothing is written that cannot be used."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import Conflict, InvalidParameter, SettingsError
from comfy_mcp.settings import BackendSettings, load_settings
from comfy_mcp.settings.writing import write_settings

WRITTEN = """# My settings.
wait = 5  # seconds, for the old laptop
rate = 10

# The fast one.
[[backends]]
name = "studio"
# in the cellar
url = "http://studio:8188"
authorization = "Bearer secret-of-the-studio"

[[backends]]
name = "laptop"
url = "http://laptop:8188"

[a1111]
# for the tablet
txt2img = "sketch"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "settings.toml"
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(path))
    return path


@pytest.fixture
def written(file: Path) -> Path:
    file.parent.mkdir()
    file.write_text(WRITTEN)
    return file


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(file: Path) -> None:
    write_settings({"max_queue": 7, "inline_images": "never", "a1111": {"txt2img": "sketch"}})
    settings = load_settings()
    assert (settings.max_queue, settings.inline_images, settings.a1111.txt2img) == (7, "never", "sketch")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == ["settings.toml"]


def test_comments_order_and_everything_else_stay(written: Path) -> None:
    written.chmod(0o640)
    write_settings({"wait": 9.5, "max_queue": 7, "rate": None})
    wanted = WRITTEN.replace("wait = 5 ", "wait = 9.5 ").replace("rate = 10\n", "")
    assert written.read_text().replace("max_queue = 7\n", "").split() == wanted.split()
    assert load_settings().max_queue == 7
    assert stat.S_IMODE(written.stat().st_mode) == 0o640


def test_tables_of_a_name_stay_where_they_are_with_their_secrets(written: Path) -> None:
    studio, _ = load_settings().backends
    mine = BackendSettings.model_validate({"name": "attic", "url": "http://attic:8188/", "tags": ["big"]})
    write_settings({"backends": [mine, studio.model_copy(update={"concurrency": 2})]})
    text = written.read_text()
    assert "# in the cellar" in text and "# The fast one." in text and "laptop:8188" not in text
    first, second = load_settings().backends
    assert (first.name, first.concurrency, second.name, second.tags) == ("studio", 2, "attic", {"big"})
    assert first.authorization and first.authorization.get_secret_value() == "Bearer secret-of-the-studio"
    write_settings({"backends": []})
    assert load_settings().backends == [] and load_settings().a1111.txt2img == "sketch"


def test_tables_that_stand_inside_a_line_become_tables_of_their_own(written: Path) -> None:
    written.write_text('llm_servers = [{ name = "one", url = "http://one:1" }]\n[images]\ntxt2img = "x"\n')
    write_settings({"llm_servers": [{"name": "one", "url": "http://one:1"}, {"name": "two", "url": "http://two:1"}]})
    settings = load_settings()
    assert [each.name for each in settings.llm_servers] == ["one", "two"] and settings.images.txt2img == "x"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", -1),
        ("wait", "soon"),
        ("inline_images", "sometimes"),
        ("backends", [{"name": "No Name!", "url": "http://a:1"}]),
        ("backends", [{"name": "a", "url": "http://a:1"}, {"name": "comfyui", "url": "nothing"}]),
        ("llm_servers", [{"name": "studio", "url": "http://a:1"}]),
        ("a1111", {"painter": "sketch"}),
        ("nothing_of_ours", 1),
        ("token", "too-short"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_written(written: Path, key: str, value: Any) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        write_settings({key: value})
    assert refusal.value.parameter == key and "too-short" not in str(refusal.value)
    assert written.read_text() == WRITTEN
    assert [each.name for each in written.parent.iterdir()] == ["settings.toml"]


def test_a_variable_wins_so_its_key_is_not_changed(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("workbench_wait", "3")
    with pytest.raises(Conflict, match="workbench_wait"):
        write_settings({"wait": 9})
    monkeypatch.setenv("WORKBENCH_RATE", "")
    write_settings({"rate": 9})
    assert "rate = 9" in written.read_text()


def test_what_a_variable_makes_impossible_is_refused(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_COMFYUI_URL", "http://elsewhere:8188")
    with pytest.raises(InvalidParameter, match="one name"):
        write_settings({"backends": [{"name": "comfyui", "url": "http://a:1"}]})


@pytest.mark.parametrize("text", ["wait = ", "_env_file = 1\n", 'unknown = "key"\n', "port = 99999\n", "\xff"])
def test_a_file_that_cannot_be_used_already_is_left_alone(written: Path, text: str) -> None:
    written.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as refusal:
        write_settings({"rate": 9})
    assert written.read_bytes() == text.encode("latin-1") and str(written) not in str(refusal.value)


def test_a_folder_that_cannot_be_made_is_told_without_its_path(file: Path) -> None:
    file.parent.write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="cannot be changed") as refusal:
        write_settings({"rate": 9})
    assert str(file) not in str(refusal.value)


def test_a_link_to_the_file_stays_one(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(written)
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(link))
    write_settings({"rate": 9})
    assert link.is_symlink() and "rate = 9" in written.read_text()
