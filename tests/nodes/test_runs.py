"""Run folders that two ComfyUI share: who comes second waits, and nobody's run is removed while it is written."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from comfy_nodes.runs import begun
from comfy_nodes.thread import handed_over
from llm_bridge.compare import Folder
from tests.bridge.boxes import until
from tests.bridge.servers import Script
from tests.nodes.calling import Page, Stopped
from tests.nodes.comparisons import compared
from tests.nodes.conftest import SetUp
from tests.nodes.test_compare import compare
from tests.texts import CHAT, answered, hanging, text_server

WAITING = "The same comparison is at work elsewhere: waiting for it …"
OTHER = """
import asyncio
from tests.nodes.test_compare import compare
asyncio.run(compare("alpha", "one two"))
"""


@pytest.fixture
async def script(set_up: SetUp) -> AsyncGenerator[Script]:
    async with text_server() as script:
        set_up(script.url)
        yield script


@asynccontextmanager
async def other_comfyui(script: Script) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another process that compares the same, and is being answered."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, cwd=Path(__file__).parents[2])
    try:
        await until(lambda: bool(script.bodies(CHAT)), 30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_who_compares_the_same_as_another_comfyui_waits_for_its_answers(script: Script, page: Page) -> None:
    script.on(CHAT, hanging(more := asyncio.Event()), answered)
    async with other_comfyui(script) as other:
        second = asyncio.create_task(compare("alpha", "one two"))
        await until(lambda: page.texts[-1:] == [WAITING])
        more.set()
        assert (await second)["result"][2] == ["Once more.", "alpha on two"]
        assert await other.wait() == 0
    assert len(script.bodies(CHAT)) == 2


async def test_who_waits_can_be_stopped_and_goes_on_alone_when_the_other_died(script: Script, page: Page) -> None:
    script.on(CHAT, hanging(asyncio.Event()), answered)
    async with other_comfyui(script) as other:
        second = asyncio.create_task(compare("alpha", "one two"))
        await until(lambda: page.texts[-1:] == [WAITING])
        page.interrupt()
        with pytest.raises(Stopped):
            await asyncio.wait_for(second, 2)
        page.interrupted = False
        third = asyncio.create_task(compare("alpha", "one two"))
        await until(lambda: page.texts[-2:].count(WAITING) == 1)
        other.kill()
        assert (await third)["result"][2] == ["alpha on one", "alpha on two"]


async def test_a_run_that_another_comfyui_writes_is_not_removed_for_a_new_one(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("comfy_nodes.runs._MOST_RUNS", 1)
    runs: list[Path] = []

    async def another(answer: str) -> None:
        monkeypatch.setattr("comfy_nodes.runs._MOST_RUNS", 9)
        (path,) = tmp_path.rglob((await compared({"a": (answer, answer)})).run)
        runs.append(path)
        monkeypatch.setattr("comfy_nodes.runs._MOST_RUNS", 1)

    async def begin(run: str) -> None:
        async with begun(run, print):
            pass

    await another("first")
    await another("second")
    del runs[1:]
    async with Folder(runs[0]).held():
        for file in (runs[0], *runs[0].iterdir()):
            os.utime(file, (0, 0))
        await handed_over(begin("0" * 32))
        assert runs[0].is_dir()
    await handed_over(begin("0" * 32))
    assert not runs[0].exists()
