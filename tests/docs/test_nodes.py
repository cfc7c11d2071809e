"""The page about the nodes: it names every node, its files are read as they stand, its commands and columns exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from comfy_mcp.cli import main
from comfy_mcp.workflows import shipped_folder
from comfy_nodes import NODE_DISPLAY_NAME_MAPPINGS
from comfy_nodes.charts.rows import rows_of
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.setup import set_up_servers
from tests.bridge.compare.models import answered
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "nodes.md"
TEXT = PAGE.read_text()
SERVERS, STYLE = (text for language, text in blocks(PAGE) if language == "toml")


def commands() -> list[list[str]]:
    """The words of every call of ours on the page."""
    lines = [line for language, text in blocks(PAGE) if language == "console" for line in text.splitlines()]
    told = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words[1:] for words in told if words and words[0] == "comfy-workbench"]


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the nodes look for a person's files when there is no ComfyUI."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "comfyui-workbench"


def test_the_table_names_every_node_and_no_other() -> None:
    rows = re.findall(r"^\| ([A-Z][^|]*?) \|", TEXT, re.MULTILINE)
    named = [name for row in rows for name in row.split(", ")]
    assert sorted(named) == sorted(NODE_DISPLAY_NAME_MAPPINGS.values())


def test_the_servers_are_set_up_as_they_stand(user_folder: Path) -> None:
    user_folder.mkdir(parents=True)
    (user_folder / "llm_servers.toml").write_text(SERVERS)
    (server,) = set_up_servers()
    assert (server.name, server.key_env, server.slots, server.max_loaded) == ("lm-studio", "LM_KEY", 1, 1)


def test_the_style_can_be_chosen_as_it_stands(user_folder: Path) -> None:
    (user_folder / "expanders").mkdir(parents=True)
    (user_folder / "expanders" / "mine.toml").write_text(STYLE)
    assert "Woodcut" in preset_names("expanders")
    found = preset("expanders", "Woodcut")
    assert found.negative and found.examples[0].idea == "a fox"


def test_the_columns_for_charts_are_those_of_the_rows() -> None:
    told = TEXT[TEXT.index("one row each:") :].partition("and more")[0]
    assert set(re.findall(r"`(\w+)`", told)) <= {*rows_of(answered({"a": ("x", "y")}))[0]}


def test_the_examples_are_templates_and_workflows() -> None:
    told = re.findall(r"^- \*\*(.+?)\*\* \(`(\w+)`\)", TEXT, re.MULTILINE)
    examples = {path.stem for path in (ROOT / "comfy_nodes" / "example_workflows").glob("*.json")}
    assert {title for title, _ in told} == examples
    assert all((shipped_folder() / template).is_dir() for _, template in told)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "ComfyUI").mkdir()
    (tmp_path / "nodes" / "comfyui-workbench").mkdir(parents=True)
    name, *rest = words
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, [word.replace("~", str(tmp_path)) for word in rest])
