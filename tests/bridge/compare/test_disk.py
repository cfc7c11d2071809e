"""Writing: to the end of what was begun, whole or not at all, and by one at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_bridge.compare.disk import lock, replace_file, to_the_end


async def test_who_is_cancelled_waits_for_the_end_of_what_was_begun() -> None:
    begun, goes_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await goes_on.wait()
        ended.set()

    waiting = asyncio.create_task(to_the_end(work()))
    async with asyncio.timeout(5):
        await begun.wait()
        # Some cancel until it helps.
        for _ in range(3):
            waiting.cancel()
            done, _ = await asyncio.wait([waiting], timeout=0.02)
            assert not done
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert ended.is_set()


async def test_what_work_gives_or_raises_is_passed_on() -> None:
    async def fail() -> None:
        raise OSError

    assert await to_the_end(asyncio.sleep(0, "given")) == "given"
    with pytest.raises(OSError):
        await to_the_end(fail())


def test_a_file_is_replaced_whole_by_many_at_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "file"
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(replace_file, [file] * len(contents), contents))
    assert file.read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "file" / "in").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_file(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_lock_holds_others_off_until_its_file_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("ab") as one, (tmp_path / "lock").open("ab") as other:
        lock(one, wait=False)
        with pytest.raises(BlockingIOError):
            lock(other, wait=False)
        one.close()
        lock(other, wait=False)
