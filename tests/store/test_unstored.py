"""What every job store promises of what it does not store: batches that it begins, and turns that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_mcp.store import Start
from tests.store.stores import STORES, Opener, new_job


@pytest.mark.parametrize("opener", STORES)
async def test_what_is_not_stored_begins_batches_and_takes_turns_too(tmp_path: Path, opener: Opener) -> None:
    async with opener(tmp_path) as store:
        assert (await store.queue()).newest == 0
        await store.begin_batch(Start(-1, "llm", "gpu0", begins=True), "alpha")
        job = await store.enqueue(new_job(model="alpha"))
        queue = await store.queue()
        assert (queue.batches["gpu0"].server, queue.batches["gpu0"].model, queue.batches["gpu0"].gate) == (
            "llm",
            "alpha",
            0,
        )
        assert queue.newest == queue.lanes[0].oldest > 0
        leased = await store.lease(
            "attempt", lambda queue: Start(queue.lanes[0].id, "llm", "gpu0", served=("bob", "cy"))
        )
        assert leased is not None and leased.id == job.id
        turns = (await store.queue()).turns
        assert sorted(turns, key=lambda owner: turns[owner]) == ["bob", "cy", "ann"]
