"""`run chat` and `jobs` as processes of their own, against a scripted LLM server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from tests.bridge.servers import Script
from tests.texts import CHAT, NOWHERE, text_server

ASKED = ("run", "chat", "--set", "model=alpha", "--set", "prompt=the sea")


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


async def run(*arguments: str, data: Path, server: Script) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_LLM_URL": server.url}
    env["WORKBENCH_COMFYUI_URL"] = NOWHERE
    with anyio.fail_after(60):
        return await anyio.run_process([sys.executable, "-m", "comfy_mcp", *arguments], check=False, env=env)


async def test_the_answer_is_printed_or_written_to_a_file(tmp_path: Path, server: Script) -> None:
    printed = await run(*ASKED, data=tmp_path / "data", server=server)
    assert (printed.returncode, printed.stdout.decode()) == (0, "alpha on the sea\n"), printed.stderr
    for more in ((), ("--json",)):
        out = anyio.Path(tmp_path / f"answer{len(more)}.txt")
        written = await run(*ASKED, "--out", str(out), *more, data=tmp_path / "data", server=server)
        assert written.returncode == 0, written.stderr
        assert await out.read_text() == "alpha on the sea\n"
        assert more or written.stdout.decode() == f"{out}\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--style", "anime"), "A chat takes no style."), (("--set", "promt=hi"), "no parameter 'promt'")],
)
async def test_what_a_chat_does_not_take_exits_with_2(
    tmp_path: Path, server: Script, more: tuple[str, ...], words: str
) -> None:
    refused = await run(*ASKED, *more, data=tmp_path, server=server)
    assert refused.returncode == 2 and words in refused.stderr.decode(), refused.stderr
    assert server.bodies(CHAT) == []


async def test_a_comparison_pushes_nothing_out_of_the_table_of_jobs(tmp_path: Path, server: Script) -> None:
    await run(*ASKED, data=tmp_path, server=server)
    prompts = anyio.Path(tmp_path / "prompts.txt")
    await prompts.write_text("the moon\nthe sun\n")
    options = ("--models", "alpha", "--prompts", str(prompts), "--out", str(tmp_path / "out"))
    compared = await run("compare", *options, data=tmp_path, server=server)
    assert compared.returncode == 0, compared.stderr
    table = (await run("jobs", "--once", data=tmp_path, server=server)).stdout.decode()
    assert table.count("succeeded") == 1
