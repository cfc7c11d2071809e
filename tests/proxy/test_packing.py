"""Large answers as JSON: the event loop goes on while they are made."""

from __future__ import annotations

import base64
import json
from typing import Any

import anyio
import pytest
from anyio import to_thread

from comfy_mcp.proxy.packing import packed, packed_answer


async def test_bytes_are_base64_and_the_rest_is_json() -> None:
    told: dict[str, Any] = {"images": [b"\0\xff", b""], "info": "猫", "none": None, "numbers": [1, 0.5]}
    answer = await packed_answer(told)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(bytes(answer.body)) == {**told, "images": [base64.b64encode(b"\0\xff").decode(), ""]}


async def test_what_is_no_json_is_a_defect() -> None:
    for wrong in ({1, 2}, float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            await packed({"wrong": wrong})


async def test_it_is_the_work_of_a_thread() -> None:
    """With all threads at work elsewhere, it waits."""
    threads, done = to_thread.current_default_thread_limiter(), anyio.Event()

    async def pack() -> None:
        await packed([b"picture"])
        done.set()

    async with anyio.create_task_group() as tasks:
        elsewhere = [object() for _ in range(int(threads.total_tokens))]
        for other in elsewhere:
            threads.acquire_on_behalf_of_nowait(other)
        tasks.start_soon(pack)
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set() and threads.statistics().tasks_waiting == 1
        for other in elsewhere:
            threads.release_on_behalf_of(other)
    assert done.is_set()
