"""What every job store promises of the pictures that people send."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfy_mcp.errors import NotFound
from comfy_mcp.jobs import JobState
from comfy_mcp.store import Outcome
from tests.store.stores import STORES, Opener, first, new_job, picture


@pytest.mark.parametrize("opener", STORES)
async def test_a_picture_that_was_sent_for_nothing_is_forgotten_and_others_of_its_bytes_are_told_of(
    tmp_path: Path, opener: Opener
) -> None:
    sent, same = picture(), replace(picture(), id="another-of-the-same-bytes")
    async with opener(tmp_path) as store:
        await store.add_asset("ann", sent)
        await store.add_asset("bob", same)
        await store.drop_asset(sent)
        assert await store.pictures.leaving(10) == ()
        with pytest.raises(NotFound):
            await store.asset(sent.id)
        assert (await store.asset(same.id, "bob")).id == same.id
        await store.drop_asset(same)
        assert [asset.key for asset in await store.pictures.leaving(10)] == [sent.key]


@pytest.mark.parametrize("opener", STORES)
async def test_a_picture_that_a_job_made_is_not_forgotten(tmp_path: Path, opener: Opener) -> None:
    async with opener(tmp_path) as store:
        await store.enqueue(new_job())
        job = await store.lease("attempt", first)
        assert job is not None
        await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED, assets=[picture()]))
        await store.drop_asset(picture())
        assert (await store.asset(picture().id)).id == picture().id
