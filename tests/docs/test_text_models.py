"""The page about text models: its programs run, its commands and names exist."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import click
import pytest

from comfy_mcp.cli import main
from comfy_mcp.settings import LLMServerSettings
from llm_bridge.agents import parse
from llm_bridge.compare.checks import KINDS
from llm_bridge.providers.registry import DIALECTS
from tests.docs.pages import ROOT
from tests.texts import text_server

PAGE = ROOT / "docs" / "text-models.md"
TEXT = PAGE.read_text()
AGENT = r'`(\{"name".*?\})`'


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of every call of ours on the page."""
    lines = "\n".join(fenced("console")).replace("\\\n", " ").splitlines()
    told = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words[1:] for words in told if words and words[0] == "comfy-workbench"]


@pytest.mark.parametrize(
    ("program", "told"),
    list(
        zip(
            fenced("python"),
            [
                "qwen3-8b on Why is the sky blue?Usage(prompt=7, completion=2",
                "['report.md', 'report.html']\nqwen3-8b on Is this a good sentence?\n",
            ],
            strict=True,
        )
    ),
    ids=["client", "queue"],
)
async def test_a_program_runs_as_it_stands(tmp_path: Path, program: str, told: str) -> None:
    async with text_server(("qwen3-8b", "gemma3-4b")) as server:
        (agent,) = re.findall(AGENT, TEXT)
        for name, text in (("program.py", program), ("agents.json", f"[{agent}]")):
            (tmp_path / name).write_text(text.replace("http://127.0.0.1:1234", server.url))
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "program.py"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        out, failures = await asyncio.wait_for(ran.communicate(), 60)
    assert ran.returncode == 0, failures.decode()
    assert out.decode().startswith(told)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("prompts.txt", "fox.png"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    found: click.Command = main
    context = click.Context(main)
    while isinstance(found, click.Group):
        name, *words = words
        below = found.get_command(context, name)
        assert below is not None, name
        found = below
    found.make_context(found.name, words)


def test_the_settings_are_those_there_are() -> None:
    (table,) = fenced("toml")
    (server,) = tomllib.loads(table)["llm_servers"]
    assert LLMServerSettings.model_validate(server).card == "gpu0"


def test_the_agent_is_one() -> None:
    told = re.findall(AGENT, TEXT)
    (agent,) = parse([json.loads(each) for each in told], "agents.json")
    assert (agent.name, agent.model) == ("critic", "qwen3-8b")


def test_every_check_is_told_of_and_is_one() -> None:
    section = TEXT[TEXT.index("**Checks**") : TEXT.index("**A judge**")]
    told = {name.partition(":")[0] for name in re.findall(r"`([^`]+)`", section)}
    assert told <= {*KINDS}
    assert {*KINDS} - told <= {"not-icontains"}


def test_every_server_is_named() -> None:
    for dialect in DIALECTS:
        title = "OpenAI protocol" if dialect.kind == "openai" else dialect.title
        assert title in TEXT, title
