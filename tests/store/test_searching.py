"""Searches of the SQLite store: nobody else waits for one, and days are told by the clock as it was."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import anyio
import pytest

from comfy_mcp.jobs import JobState
from comfy_mcp.store import Outcome, Sought, SqliteStore
from tests.store.stores import first, new_job, picture


async def made(store: SqliteStore, *names: str) -> None:
    for name in names:
        await store.enqueue(new_job())
        job = await store.lease(name, first)
        assert job is not None
        await store.finish(job.id, job.token, Outcome(JobState.SUCCEEDED, assets=[picture(name)]))


async def test_nobody_else_waits_for_a_search(tmp_path: Path) -> None:
    goes_on, begun = threading.Event(), threading.Event()

    def slow(_: sqlite3.Connection) -> None:
        begun.set()
        assert goes_on.wait(10)

    async with SqliteStore.open(tmp_path / "jobs.sqlite3") as store, anyio.create_task_group() as tasks:
        await made(store, "one")
        database = store._database  # pyright: ignore[reportPrivateUsage]
        tasks.start_soon(database.search, slow)
        await anyio.to_thread.run_sync(begun.wait, 10)
        with anyio.fail_after(5):
            assert (await store.pictures.get("one")).asset == picture("one")
            assert (await store.pictures.usage("ann")).count == 1
            await store.list("ann")
            await store.enqueue(new_job())
        goes_on.set()


async def test_a_clock_that_was_put_back_hides_nothing_of_a_day(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "jobs.sqlite3") as store:
        await made(store, "one", "two", "three", "four")
        days, query = (
            ((10, "one"), (30, "two"), (11, "three"), (31, "four")),
            "UPDATE picture SET made = ? WHERE asset = ?",
        )
        database = store._database  # pyright: ignore[reportPrivateUsage]
        await database.write(lambda db: db.executemany(query, days))

        async def of(since: float | None, until: float | None) -> list[str]:
            return [each.asset.id for each in await store.pictures.find("ann", Sought(since=since, until=until))]

        assert await of(10, 20) == ["three", "one"]
        assert await of(30, None) == ["four", "two"]
        assert await of(None, 31) == ["three", "two", "one"]
        assert await of(12, 30) == []


@pytest.mark.parametrize(("least", "told"), [(0, 1), (2**40, 0)])
async def test_bringing_a_large_database_up_to_date_is_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, least: int, told: int
) -> None:
    monkeypatch.setattr("comfy_mcp.store.database._LARGE_BYTES", least)
    with caplog.at_level(logging.WARNING):
        async with SqliteStore.open(tmp_path / "jobs.sqlite3"):
            pass
    assert caplog.text.count("brought up to date") == told
