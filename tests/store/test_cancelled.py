"""Who writes may be cancelled, by anyio and by asyncio itself: what was begun ends, and nobody meets half of it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from comfy_mcp.store.database import Database
from comfy_mcp.tasks import to_the_end


async def test_a_write_waits_for_one_whose_caller_was_cancelled(tmp_path: Path) -> None:
    """As a task group of asyncio does it, which anyio's shields do not hold."""
    begun, goes_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        assert goes_on.wait(10)
        connection.execute("INSERT INTO record (owner, kind, name, value) VALUES ('o', 'k', 'n', 'v')")

    def count(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("SELECT count(*) FROM record").fetchone()[0]
        return found

    async with Database.open(tmp_path / "jobs.sqlite3") as database, asyncio.timeout(20):
        writing = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(begun.wait)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        next_ = asyncio.create_task(database.write(count))
        done, _ = await asyncio.wait([next_], timeout=0.1)
        assert not done
        goes_on.set()
        assert await next_ == 1


async def test_work_is_seen_to_its_end_when_asyncio_cancels_its_caller() -> None:
    begun, goes_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await goes_on.wait()
        ended.set()

    waiting = asyncio.create_task(to_the_end(work()))
    async with asyncio.timeout(5):
        await begun.wait()
        for _ in range(3):
            waiting.cancel()
            done, _ = await asyncio.wait([waiting], timeout=0.02)
            assert not done
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert ended.is_set()
