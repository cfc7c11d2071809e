"""What is true of the SQLite store alone: killed writers, newer files, damaged files, full disks."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from comfy_mcp.errors import StorageUnavailable
from comfy_mcp.jobs import JobState
from comfy_mcp.store import Outcome, QueueLimits, SqliteStore, rows
from tests.store.stores import first, new_job

WRITER = """
import anyio, sys
from pathlib import Path
from comfy_mcp.store import QueueLimits, SqliteStore
from tests.store.stores import new_job

async def main():
    async with SqliteStore.open(Path(sys.argv[1]), limits=QueueLimits(10**6, 10**6)) as store:
        while True:
            print((await store.enqueue(new_job())).id, flush=True)

anyio.run(main)
"""


async def test_no_acknowledged_job_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    acknowledged: list[str] = []
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait(10)
    async with SqliteStore.open(database) as store:
        kept = {job.id for job in await store.list(limit=10**6)}
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= kept


async def test_a_database_of_a_newer_workbench_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StorageUnavailable, match="newer"):
        async with SqliteStore.open(database):
            pass


async def test_a_file_that_is_no_database_is_refused_without_its_path(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    database.write_bytes(b"not a database" * 100)

    with pytest.raises(StorageUnavailable) as caught:
        async with SqliteStore.open(database):
            pass
    assert str(tmp_path) not in str(caught.value)


async def test_a_full_database_refuses_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "jobs.sqlite3", limits=QueueLimits(10**6, 10**6)) as store:
        connection: sqlite3.Connection = store._database.connection  # pyright: ignore[reportPrivateUsage]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
        acknowledged: list[str] = []
        with pytest.raises(StorageUnavailable, match="full"):
            for _ in range(10_000):
                acknowledged.append((await store.enqueue(new_job())).id)
        assert {job.id for job in await store.list(limit=10_000)} == set(acknowledged)


async def test_a_database_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    bound = rows.dump(new_job().bound)
    with sqlite3.connect(database) as connection:
        connection.executescript(resources.files("comfy_mcp.store").joinpath("migrations/1.sql").read_text())
        connection.execute("PRAGMA user_version = 1")
        for seq, state in enumerate(("succeeded", "running", "queued", "queued"), 1):
            connection.execute(
                "INSERT INTO job (id, owner, template, bound, state, attempt, created)"
                " VALUES (?, 'ann', ?, ?, ?, ?, 0)",
                (f"job-{seq}", "txt2img" if seq < 4 else "img2img", bound, state, f"attempt-{seq}"),
            )
    connection.close()
    async with SqliteStore.open(database) as store:
        assert [job.state for job in await store.list()] == ["queued", "queued", "running", "succeeded"]
        (running,) = await store.adopt()
        assert (running.id, running.attempt, running.backend) == ("job-2", "attempt-2", "comfyui")
        assert await store.finish(running.id, running.token, Outcome(JobState.SUCCEEDED))
        assert len((await store.line(10)).queue.lanes) == 2
        assert await store.expire() == []
        for expected in ("job-3", "job-4"):
            leased = await store.lease("attempt", first)
            assert leased is not None and leased.id == expected
