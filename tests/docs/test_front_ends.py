"""The page about front ends without MCP: its programs run, its settings, commands and addresses exist."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

import click
import pytest

from comfy_mcp.cli import main
from comfy_mcp.proxy import listening
from comfy_mcp.settings import FrontEndSettings, Settings
from comfy_mcp.workbench import Workbench
from tests.docs.pages import ROOT, blocks
from tests.workbenches import settings_for

PAGE = ROOT / "docs" / "front-ends.md"
TEXT = PAGE.read_text()
PROGRAMS = [text for language, text in blocks(PAGE) if language == "python"]


@pytest.mark.parametrize(
    ("program", "told"), list(zip(PROGRAMS, ["saved 512x512", "![a lighthouse at dusk]("], strict=True))
)
async def test_a_program_runs_as_it_stands(tmp_path: Path, embedded_url: str, program: str, told: str) -> None:
    async with (
        Workbench.open(settings_for(tmp_path / "data", embedded_url)) as workbench,
        listening(workbench) as address,
    ):
        (tmp_path / "program.py").write_text(program.replace("http://127.0.0.1:8190", address))
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "program.py"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=dict(os.environ),
        )
        out, failures = await asyncio.wait_for(ran.communicate(), 60)
    assert ran.returncode == 0, failures.decode()
    assert out.decode().startswith(told)


def test_the_tables_are_settings() -> None:
    (told,) = (tomllib.loads(text) for language, text in blocks(PAGE) if language == "toml")
    assert {*told} == {"a1111", "images"}
    assert FrontEndSettings.model_validate(told["a1111"]).call_sets == {"width", "height"}


def test_every_setting_and_variable_is_one() -> None:
    named = re.findall(r"\bWORKBENCH_([A-Z_]+)", TEXT)
    assert {name.lower() for name in named} <= {*Settings.model_fields}
    assert {"link_expiry", "rate", "graph_nodes"} <= {*Settings.model_fields}


@pytest.mark.parametrize("line", re.findall(r"comfy-workbench (token [^`\n]+)", TEXT))
def test_every_command_is_one(line: str) -> None:
    words, found = line.rstrip(")").split(), click.Context(main).command
    context = click.Context(main)
    while isinstance(found, click.Group):
        name, *words = words
        below = found.get_command(context, name)
        assert below is not None, name
        found = below
    found.make_context(found.name, words)


def test_every_path_is_served() -> None:
    for path in set(re.findall(r"`?(comfy_mcp/[\w/]+\.py)`?", TEXT)):
        assert (ROOT / path).exists()
