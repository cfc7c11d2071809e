"""What lists leave out: what ended of those that somebody asked for by the hundred."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfy_mcp.jobs import JobState
from comfy_mcp.store import Outcome
from tests.store.stores import STORES, Opener, first, new_job


@pytest.mark.parametrize("opener", STORES)
async def test_cells_that_ended_push_nothing_out_of_a_list(tmp_path: Path, opener: Opener) -> None:
    async with opener(tmp_path) as store:
        own = await store.enqueue(new_job())
        cells = [await store.enqueue(replace(new_job(), turn="ann, by the hundred")) for _ in range(3)]
        assert len(await store.list("ann", cells=False)) == 4
        for attempt in ("a", "b", "c"):
            leased = await store.lease(attempt, first)
            assert leased is not None
            await store.finish(leased.id, leased.token, Outcome(JobState.SUCCEEDED))
        left = await store.list("ann", cells=False)
        assert [job.id for job in left] == [cells[-1].id, own.id]
        assert [job.id for job in await store.list(None, limit=2, cells=False)] == [cells[-1].id, own.id]
        assert [job.id for job in await store.list("ann", before=cells[-1].id, cells=False)] == [own.id]
        assert len(await store.list("ann")) == 4


@pytest.mark.parametrize("opener", STORES)
async def test_jobs_of_one_template_are_listed_and_counted_apart(tmp_path: Path, opener: Opener) -> None:
    async with opener(tmp_path) as store:
        asked = (("ann", "graph"), ("ann", "txt2img"), ("ann", "graph"), ("bob", "txt2img"))
        jobs = [await store.enqueue(new_job(owner, template)) for owner, template in asked]
        assert await store.count("ann", "graph") == 2
        leased = await store.lease("a", first)
        assert leased is not None and leased.id == jobs[0].id
        assert [job.id for job in await store.active("ann", template="graph")] == [jobs[0].id, jobs[2].id]
        assert [job.id for job in await store.list("ann", template="graph", limit=2)] == [jobs[2].id, jobs[0].id]
        assert await store.count("ann", "graph") == 2, "what runs counts too"
        await store.finish(leased.id, leased.token, Outcome(JobState.SUCCEEDED))
        assert (await store.count("ann", "graph"), await store.count("bob", "graph")) == (1, 0)
        assert [job.id for job in await store.active(template="graph")] == [jobs[2].id]
