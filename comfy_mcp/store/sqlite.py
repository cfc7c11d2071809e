"""The SQLite store: one file, write-ahead log, every acknowledged commit synced to the disk.

Owns the connections and the transactions. One thread at a time writes and another reads, so a transaction never waits
for another of the same process, and a reader never waits for a disk; other processes are waited for by SQLite itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import anyio
from anyio import to_thread

from comfy_mcp.errors import Conflict, NotFound, Overloaded, StorageUnavailable
from comfy_mcp.jobs import Asset, Job, Progress
from comfy_mcp.store import rows
from comfy_mcp.store.interface import Idempotency, NewJob, Outcome

__all__ = ["SqliteStore"]

_VERSION = 1
_BUSY_SECONDS = 10.0

T = TypeVar("T")


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an id that was given out survives a power cut, not only a crash of the process.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StorageUnavailable(
                "The database was written by a newer workbench.",
                hint="Update comfyui-workbench, or set WORKBENCH_DATA to another folder.",
            )
        if version == 0:
            for statement in resources.files("comfy_mcp.store").joinpath("schema.sql").read_text().split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


class SqliteStore:
    """A `JobStore` in one SQLite file. Make it with `open`."""

    def __init__(self, connection: sqlite3.Connection, reader: sqlite3.Connection, max_queue: int) -> None:
        self._connection, self._reader = connection, reader
        self._max_queue = max_queue
        self._one_writer, self._one_reader = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, max_queue: int = 1000) -> AsyncGenerator[SqliteStore]:
        """Open or create the database at ``path``; closed at the end of the block.

        Raises:
            StorageUnavailable: the file cannot be opened, is damaged or is newer than this program.
        """
        try:
            connection = await to_thread.run_sync(_connect, path)
            reader = await to_thread.run_sync(_connect, path)
        except (sqlite3.Error, OSError) as failure:
            raise _unavailable(failure) from failure
        store = cls(connection, reader, max_queue)
        try:
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(reader.close, limiter=store._one_reader)
                await to_thread.run_sync(connection.close, limiter=store._one_writer)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(lambda: work(self._reader), self._one_reader)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one immediate transaction; what it raises rolls everything back."""

        return await self._in_thread(lambda: self._transaction(work), self._one_writer)

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result

    async def _in_thread(self, work: Callable[[], T], limiter: anyio.CapacityLimiter) -> T:
        try:
            # Not abandoned when the caller is cancelled: a transaction never stops half-way.
            return await to_thread.run_sync(work, limiter=limiter)
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure

    async def enqueue(self, new: NewJob, idempotency: Idempotency | None = None) -> Job:
        bound, warnings = rows.dump(new.bound), rows.dump(new.warnings)

        def insert(db: sqlite3.Connection) -> Job:
            if idempotency is not None and (earlier := _replayed(db, new, idempotency)) is not None:
                return earlier
            waiting = db.execute("SELECT count(*) FROM job WHERE state = 'queued'").fetchone()[0]
            if waiting >= self._max_queue:
                raise Overloaded(
                    f"{waiting} jobs are waiting, and no more are taken.",
                    hint="Try again when some are done, or cancel some.",
                )
            key, fingerprint = (idempotency.key, idempotency.fingerprint) if idempotency else (None, None)
            job = uuid4().hex
            db.execute(
                "INSERT INTO job (id, owner, template, style, bound, state, created, warnings, idempotency_key,"
                " fingerprint) VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                (job, new.owner, new.template, new.style, bound, time.time(), warnings, key, fingerprint),
            )
            return _job(db, job)

        return await self._write(insert)

    async def get(self, job: str, owner: str | None = None) -> Job:
        return await self._read(lambda db: _job(db, job, owner))

    async def list(self, owner: str | None = None, *, limit: int = 50, before: str | None = None) -> Sequence[Job]:
        def select(db: sqlite3.Connection) -> Sequence[Job]:
            query, values = "SELECT * FROM job WHERE 1", list[object]()
            if owner is not None:
                query, values = query + " AND owner = ?", [*values, owner]
            if before is not None:
                query, values = query + " AND seq < (SELECT seq FROM job WHERE id = ?)", [*values, before]
            found = db.execute(query + " ORDER BY seq DESC LIMIT ?", [*values, limit]).fetchall()
            return [_read_row(db, row) for row in found]

        return await self._read(select)

    async def position(self, job: str) -> int:
        def count(db: sqlite3.Connection) -> int:
            return db.execute(
                "SELECT count(*) FROM job AS ahead, job AS mine WHERE mine.id = ? AND mine.state = 'queued'"
                " AND (ahead.state = 'running' OR ahead.state = 'queued' AND ahead.seq < mine.seq)",
                (job,),
            ).fetchone()[0]

        return await self._read(count)

    async def cancel(self, job: str, owner: str | None = None) -> Job:
        def update(db: sqlite3.Connection) -> Job:
            _job(db, job, owner)
            db.execute(
                "UPDATE job SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'queued'", (time.time(), job)
            )
            db.execute("UPDATE job SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job,))
            return _job(db, job)

        return await self._write(update)

    async def lease(self, attempt: str) -> Job | None:
        def take(db: sqlite3.Connection) -> Job | None:
            row = db.execute(
                "UPDATE job SET state = 'running', attempt = ?, attempts = attempts + 1, progress = NULL,"
                " started = coalesce(started, ?) WHERE seq ="
                " (SELECT seq FROM job WHERE state = 'queued' ORDER BY seq LIMIT 1) RETURNING *",
                (attempt, time.time()),
            ).fetchone()
            return None if row is None else _read_row(db, row)

        def take_if_any() -> Job | None:
            # Looked at first, so that an idle dispatcher takes no write lock from other processes.
            if self._connection.execute("SELECT 1 FROM job WHERE state = 'queued' LIMIT 1").fetchone() is None:
                return None
            return self._transaction(take)

        return await self._in_thread(take_if_any, self._one_writer)

    async def running(self) -> Sequence[Job]:
        def select(db: sqlite3.Connection) -> Sequence[Job]:
            return [_read_row(db, row) for row in db.execute("SELECT * FROM job WHERE state = 'running' ORDER BY seq")]

        return await self._read(select)

    async def cancel_requests(self) -> frozenset[str]:
        query = "SELECT id FROM job WHERE state = 'running' AND cancel_requested"
        return await self._read(lambda db: frozenset(row["id"] for row in db.execute(query)))

    async def record_progress(self, job: str, attempt: str, progress: Progress) -> None:
        text = rows.dump_progress(progress)
        query = "UPDATE job SET progress = ? WHERE id = ? AND attempt = ? AND state = 'running'"
        await self._write(lambda db: db.execute(query, (text, job, attempt)))

    async def release(self, job: str, attempt: str, *, refund: bool = False) -> bool:
        query = (
            "UPDATE job SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,"
            " finished = CASE WHEN cancel_requested THEN ? END, attempts = attempts - ?, progress = NULL"
            " WHERE id = ? AND attempt = ? AND state = 'running'"
        )
        values = (time.time(), int(refund), job, attempt)
        return await self._write(lambda db: db.execute(query, values).rowcount == 1)

    async def finish(self, job: str, attempt: str, outcome: Outcome) -> bool:
        def commit(db: sqlite3.Connection) -> bool:
            row = db.execute(
                "UPDATE job SET state = ?, finished = ?, outputs = ?, error = ?, warnings = ?, progress = NULL"
                " WHERE id = ? AND attempt = ? AND state = 'running' RETURNING seq, owner",
                (
                    outcome.state,
                    time.time(),
                    rows.dump(tuple(outcome.outputs)),
                    rows.dump(outcome.error) if outcome.error else None,
                    rows.dump(tuple(outcome.warnings)),
                    job,
                    attempt,
                ),
            ).fetchone()
            if row is None:
                return False
            for position, asset in enumerate(outcome.assets):
                _insert_asset(db, row["owner"], asset, row["seq"], position)
            return True

        return await self._write(commit)

    async def add_asset(self, owner: str, asset: Asset) -> None:
        await self._write(lambda db: _insert_asset(db, owner, asset))

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        def select(db: sqlite3.Connection) -> Asset:
            row = db.execute("SELECT owner, record FROM asset WHERE id = ?", (asset,)).fetchone()
            if row is None or owner not in (None, row["owner"]):
                raise NotFound("There is no such picture.", hint="Use an asset id from an earlier answer.")
            return rows.read_asset(row["record"])

        return await self._read(select)


def _unavailable(failure: Exception) -> StorageUnavailable:
    full = isinstance(failure, sqlite3.OperationalError) and "full" in str(failure)
    what = "The disk of the job database is full." if full else "The job database cannot be used."
    reason = getattr(failure, "sqlite_errorname", type(failure).__name__)
    return StorageUnavailable(
        what, hint="Nothing acknowledged is lost. Check WORKBENCH_DATA: space, rights, and a local disk.", reason=reason
    )


def _replayed(db: sqlite3.Connection, new: NewJob, idempotency: Idempotency) -> Job | None:
    row = db.execute(
        "SELECT * FROM job WHERE owner = ? AND template = ? AND idempotency_key = ?",
        (new.owner, new.template, idempotency.key),
    ).fetchone()
    if row is None:
        return None
    if row["fingerprint"] != idempotency.fingerprint:
        raise Conflict("This idempotency key was used for another request.", hint="Send a new key with a new request.")
    return _read_row(db, row)


def _job(db: sqlite3.Connection, job: str, owner: str | None = None) -> Job:
    row = db.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
    if row is None or owner not in (None, row["owner"]):
        raise NotFound("There is no job with this id.", hint="Use the job id from the answer that started it.")
    return _read_row(db, row)


def _read_row(db: sqlite3.Connection, row: sqlite3.Row) -> Job:
    found = db.execute("SELECT record FROM asset WHERE job = ? ORDER BY position", (row["seq"],))
    return rows.read_job(row, tuple(rows.read_asset(asset["record"]) for asset in found))


def _insert_asset(db: sqlite3.Connection, owner: str, asset: Asset, job: int | None = None, position: int = 0) -> None:
    db.execute(
        "INSERT INTO asset (id, owner, job, position, record) VALUES (?, ?, ?, ?, ?)",
        (asset.id, owner, job, position, rows.dump(asset)),
    )
