"""One SQLite file: write-ahead log, every acknowledged commit synced to the disk, its schema brought up to date.

Owns the connections and the transactions. One thread at a time writes and another reads, so a transaction never waits
for another of the same process, and a reader never waits for a disk; other processes are waited for by SQLite itself.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Self, TypeVar

import anyio
from anyio import to_thread

from comfy_mcp.errors import DatabaseUnavailable
from comfy_mcp.store.searching import searchable

__all__ = ["Database"]

_VERSION = 5
_BUSY_SECONDS = 10.0

T = TypeVar("T")


class Database:
    """Make it with `open`. What ``work`` raises passes through; what SQLite raises becomes DatabaseUnavailable."""

    def __init__(self, connection: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self.connection, self._reader = connection, reader
        self._one_writer, self._one_reader = _Turn(), _Turn()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncGenerator[Self]:
        """Open or create the database at ``path``; closed at the end of the block.

        Raises:
            DatabaseUnavailable: the file cannot be opened, is damaged or is newer than this program.
        """
        try:
            connection = await to_thread.run_sync(_connect, path)
            reader = await to_thread.run_sync(_connect, path)
        except (sqlite3.Error, OSError) as failure:
            raise _unavailable(failure) from failure
        database = cls(connection, reader)
        try:
            yield database
        finally:
            with anyio.CancelScope(shield=True):
                await database._one_reader.take(reader.close)
                await database._one_writer.take(connection.close)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one consistent state of the database."""

        def consistent() -> T:
            self._reader.execute("BEGIN")
            try:
                return work(self._reader)
            finally:
                self._reader.execute("ROLLBACK")

        return await self._one_reader.take(consistent)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one immediate transaction; what it raises rolls everything back."""
        return await self._one_writer.take(lambda: self._transaction(work))

    async def write_unless(
        self, nothing: Callable[[sqlite3.Connection], bool], work: Callable[[sqlite3.Connection], T]
    ) -> T | None:
        """As `write`, but None where ``nothing`` finds nothing to do: then no other process waits for a lock."""
        return await self._one_writer.take(lambda: None if nothing(self.connection) else self._transaction(work))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return result


class _Turn:
    """Work in a thread, one piece at a time; not abandoned when its caller is cancelled, so it never stops half-way."""

    def __init__(self) -> None:
        # The limiter keeps those who wait out of the threads. It is let go of too early when asyncio itself cancels the
        # caller (as its task groups do, whatever anyio shields): the lock is held for as long as the work runs.
        self._limiter, self._lock = anyio.CapacityLimiter(1), threading.Lock()

    async def take(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._lock:
                return work()

        try:
            return await to_thread.run_sync(alone, limiter=self._limiter)
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.create_function("searchable", 1, searchable, deterministic=True)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an id that was given out survives a power cut, not only a crash of the process.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise DatabaseUnavailable(
                "The database was written by a newer workbench.",
                hint="Update comfyui-workbench, or set WORKBENCH_DATA to another folder.",
            )
        for step in range(version + 1, _VERSION + 1):
            for statement in _statements(step):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(step: int) -> Iterator[str]:
    """The statements of one migration, which `executescript` would not run inside our transaction."""
    statement = ""
    for line in resources.files("comfy_mcp.store").joinpath(f"migrations/{step}.sql").read_text().splitlines(True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _unavailable(failure: Exception) -> DatabaseUnavailable:
    full = isinstance(failure, sqlite3.OperationalError) and "full" in str(failure)
    what = "The disk of the job database is full." if full else "The job database cannot be used."
    reason = getattr(failure, "sqlite_errorname", type(failure).__name__)
    return DatabaseUnavailable(
        what, hint="Nothing acknowledged is lost. Check WORKBENCH_DATA: space, rights, and a local disk.", reason=reason
    )
