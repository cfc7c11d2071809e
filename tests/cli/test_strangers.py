"""What models, servers and folders of templates write, as the terminal is shown it."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from comfy_mcp.cli.shown import as_json, cell, in_line
from tests.bridge.servers import Script, chunk, sse, stream
from tests.texts import CHAT, NOWHERE, text_server

EVIL = "a\x1b]0;PWNED\x07\x1b[2J\x9b2J\r\nb\tc\u202e"
RED = "[red]x[/red] :smile:"


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server((RED, f"evil{EVIL}", "x" * 5_000)) as script:
        yield script


async def on_terminal(*arguments: str, data: Path, server: Script) -> str:
    """What the command writes to a terminal."""
    master, terminal = pty.openpty()
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_LLM_URL": server.url, "COLUMNS": "160"}
    env |= {"WORKBENCH_COMFYUI_URL": NOWHERE, "TERM": "xterm"}
    command = [sys.executable, "-m", "comfy_mcp", *arguments]
    with anyio.fail_after(60), os.fdopen(master, "rb", buffering=0) as written:
        async with await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=env
        ):
            os.close(terminal)
            return (await anyio.to_thread.run_sync(_all, written)).decode()


def _all(written: io.FileIO) -> bytes:
    found = b""
    while True:
        try:
            more = os.read(written.fileno(), 65536)
        except OSError:
            # So Linux says that nobody writes any more.
            return found
        if not more:
            return found
        found += more


async def test_names_of_models_are_shown_as_they_are_or_not_at_all(tmp_path: Path, server: Script) -> None:
    shown = await on_terminal("llm", "models", data=tmp_path, server=server)
    assert f"llm/{RED}" in shown
    assert "PWNED" not in shown and "xxxx" not in shown


async def test_an_answer_moves_nothing_but_the_line(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, stream(sse(chunk(EVIL), chunk(RED, "stop"))))
    shown = await on_terminal("llm", "chat", RED, "hi", data=tmp_path, server=server)
    assert f"a␛]0;PWNED␇␛[2J⟨U+009B⟩2J\r\nb\tc⟨U+202E⟩{RED}" in shown


async def test_what_a_server_says_of_its_failure_is_shown_the_same_way(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, stream(sse({"error": {"message": EVIL, "code": 400}})))
    shown = await on_terminal("llm", "chat", RED, "hi", data=tmp_path, server=server)
    assert "PWNED" in shown and "\x1b]" not in shown and "\x9b" not in shown


def test_a_name_is_one_line_and_no_markup() -> None:
    assert in_line(EVIL) == "a␛]0;PWNED␇␛[2J⟨U+009B⟩2J b c⟨U+202E⟩"
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        console.print(cell(RED))
    assert captured.get() == f"{RED}\n"


def test_json_holds_nothing_that_a_terminal_acts_on_and_says_the_same() -> None:
    told = as_json({"name": f"ü{EVIL}\ud800🙂"})
    assert "ü" in told and "🙂" in told
    assert not {"\x1b", "\x9b", "\u202e", "\ud800", "\r"} & set(told)
    assert json.loads(told) == {"name": f"ü{EVIL}\ud800🙂"}
