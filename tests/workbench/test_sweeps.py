"""A sweep is all of its jobs and a record, or nothing; one seed, one sheet."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.content import Budget
from comfy_mcp.errors import InvalidParameter, Overloaded
from comfy_mcp.jobs import JobRequest, JobState, Preset
from comfy_mcp.store import SqliteStore
from comfy_mcp.tools.registry import Caller
from comfy_mcp.tools.toolbox import toolbox
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.sweeps import SWEEPS
from tests.server.chats import text_of
from tests.workbenches import settings_for

SMALL: dict[str, Any] = {"prompt": "a house", "width": 64, "height": 64, "steps": 1}


@pytest.fixture
async def workbench(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Workbench]:
    async with Workbench.open(settings_for(tmp_path, embedded_url, max_queue=5)) as opened:
        yield opened


async def swept(workbench: Workbench, **arguments: Any) -> str:
    tool = toolbox(workbench).find("sweep")
    assert tool is not None
    standing = arguments.pop("standing", {})
    result = await tool.run(
        workbench, Caller("local", 30, Budget(lambda asset: None, lambda job: None), standing=standing), arguments
    )
    return text_of(result)


@pytest.mark.parametrize(
    ("values", "standing"),
    [(SMALL, {}), ({**SMALL, "seed": "-1"}, {}), ({**SMALL, "seed": -1}, {}), (SMALL, {"seed": "-1"})],
)
async def test_all_cells_have_one_seed(workbench: Workbench, values: Any, standing: dict[str, str]) -> None:
    text = await swept(workbench, values=values, over={"cfg": [1, 2, 3]}, standing=standing)
    assert len(set(re.findall(r"seed (\d+)", text))) == 1


async def test_what_is_swept_is_not_settled_by_the_person(workbench: Workbench) -> None:
    await workbench.presets.save(Preset("txt2img", "mine", {"steps": 1, "cfg": 9.0}, default=True))
    await swept(workbench, values=SMALL, over={"cfg": [1, 2]}, standing={"cfg": "5"})
    assert sorted(job.values["cfg"] for job in await workbench.jobs()) == [1.0, 2.0]


async def test_what_is_fixed_for_everybody_is_not_swept(tmp_path: Path, embedded_url: str) -> None:
    """Every cell would have the fixed value under a heading that says otherwise."""
    settings = settings_for(tmp_path, embedded_url, locked={"*": {"steps": 2}})
    async with Workbench.open(settings) as opened:
        with pytest.raises(InvalidParameter, match="fixed by an administrator"):
            await swept(opened, template="txt2img", values=SMALL, over={"steps": [1, 3]})
        assert await opened.jobs() == []


async def test_a_full_queue_takes_none_of_it(workbench: Workbench) -> None:
    with pytest.raises(Overloaded):
        await workbench.sweeps.start(JobRequest("txt2img", SMALL), {"cfg": list(range(1, 9))})
    assert await workbench.jobs() == []
    assert await workbench.store.records("local", SWEEPS) == {}


async def test_who_gives_up_while_it_is_stored_leaves_nothing_running(
    tmp_path: Path, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, enqueue = anyio.CancelScope(), SqliteStore.enqueue_all

    async def slow(self: SqliteStore, *arguments: Any) -> Any:
        scope.cancel()
        return await enqueue(self, *arguments)

    monkeypatch.setattr(SqliteStore, "enqueue_all", slow)
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        with scope:
            await swept(workbench, values={**SMALL, "steps": 50}, over={"cfg": [1, 2, 3, 4]})
        with anyio.fail_after(5):
            while {job.state for job in await workbench.jobs()} != {JobState.CANCELLED}:
                await anyio.sleep(0.05)
        assert len(await workbench.jobs()) == 4


async def test_who_gives_up_while_a_job_is_stored_leaves_nothing_running(
    tmp_path: Path, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, enqueue = anyio.CancelScope(), SqliteStore.enqueue

    async def slow(self: SqliteStore, *arguments: Any) -> Any:
        scope.cancel()
        return await enqueue(self, *arguments)

    monkeypatch.setattr(SqliteStore, "enqueue", slow)
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        tool = toolbox(workbench).find("txt2img")
        assert tool is not None
        with scope:
            await tool.run(
                workbench, Caller("local", 30, Budget(lambda asset: None, lambda job: None)), {**SMALL, "steps": 50}
            )
        with anyio.fail_after(5):
            while [job.state for job in await workbench.jobs()] != [JobState.CANCELLED]:
                await anyio.sleep(0.05)


async def test_the_sheet_is_drawn_once(workbench: Workbench) -> None:
    sweep = await workbench.sweeps.start(JobRequest("txt2img", SMALL), {"cfg": [1, 2]})

    async def unheard(fraction: float) -> None:
        return

    await workbench.sweeps.wait(sweep, "local", 20, unheard)
    drawn: list[str] = []

    async def draw() -> None:
        drawn.append((await workbench.sweeps.sheet(sweep, "local")).id)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(draw)
    assert len(set(drawn)) == 1
    assert await workbench.sweeps.find(sweep.id, "somebody else") is None


async def test_old_sweeps_are_forgotten(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.workbench.sweeps._MOST_SWEEPS", 2)
    ids = [(await workbench.sweeps.start(JobRequest("txt2img", SMALL), {"cfg": [1]})).id for _ in range(3)]
    assert ids == sorted(ids)
    assert list(await workbench.store.records("local", SWEEPS)) == ids[1:]
