"""Following a job: every step once and in order, however slow the look at the database is."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.workbench import Workbench
from tests.workbenches import settings_for

STEPS = {"prompt": "a red house", "width": 64, "height": 64, "steps": 10}


async def test_every_step_is_told_in_order_also_when_a_look_takes_longer_than_some_steps(
    tmp_path: Path, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        look = workbench.store.get

        async def slowly(job: str, owner: str | None = None) -> Job:
            found = await look(job, owner)
            await anyio.sleep(0.35)
            return found

        monkeypatch.setattr(workbench.store, "get", slowly)
        job = await workbench.submit(JobRequest("txt2img", STEPS))
        told: list[Job] = []
        with anyio.fail_after(30):
            async for current in workbench.follow(job.id):
                told.append(current)
    assert told[-1].state is JobState.SUCCEEDED
    fractions = [current.progress.fraction for current in told[:-1]]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 10
