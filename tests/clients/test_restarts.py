"""The server restarts, and every chat goes on with its next call: no new handshake, nothing to press."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.clients.process import CLIENTS, Chat, started

SMALL = {"prompt": "a red house", "width": 64, "height": 64, "steps": 2}


@contextmanager
def serving(data: Path, comfyui: str, port: int = 0) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """The command as people run it; it is killed in the end, as by a crash."""
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_COMFYUI_URL": comfyui}
    command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1], process
        finally:
            process.kill()


@pytest.fixture(scope="module")
async def restarted(tmp_path_factory: pytest.TempPathFactory, embedded_url: str) -> AsyncGenerator[dict[str, Chat]]:
    """Chats that painted before the restart, and were told nothing of it."""
    data = tmp_path_factory.mktemp("restarted")
    chats: dict[str, Chat] = {}
    async with AsyncExitStack() as stack:
        with serving(data, embedded_url) as (url, _):
            for name, kind in CLIENTS.items():
                with suppress(pytest.skip.Exception):
                    chat = await stack.enter_async_context(started(kind))
                    await chat.connect(url)
                    assert (await chat.call("txt2img", {**SMALL, "seed": 1})).pictures
                    chats[name] = chat
        with serving(data, embedded_url, httpx.URL(url).port or 0):
            yield chats


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("progress", [False, True], ids=["unheard", "heard"])
@pytest.mark.requirement("R2")
async def test_the_next_call_after_a_restart_works(name: str, progress: bool, restarted: dict[str, Chat]) -> None:
    if name not in restarted:
        pytest.skip("needs the client: set the WORKBENCH_TEST_ variables, as .ci/run does")

    answer = await restarted[name].call("txt2img", {**SMALL, "seed": 2}, progress=progress)

    assert not answer.error, answer.text
    assert answer.pictures
