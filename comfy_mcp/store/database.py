"""One SQLite file: write-ahead log, every acknowledged commit synced to the disk, its schema brought up to date.

Owns the connections and the transactions. One thread at a time writes, one reads and one searches, so a transaction
never waits for another of the same process, and a reader neither for a disk nor for a search; for other processes
SQLite itself waits.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Self, TypeVar

import anyio
from anyio import to_thread

from comfy_mcp.errors import DatabaseUnavailable
from comfy_mcp.store.searching import searchable

__all__ = ["Database"]

log = logging.getLogger(__name__)

_VERSION = 5
_BUSY_SECONDS = 10.0
_LARGE_BYTES = 32 * 2**20

T = TypeVar("T")


class Database:
    """Make it with `open`. What ``work`` raises passes through; what SQLite raises becomes DatabaseUnavailable."""

    def __init__(self, writer: _One, reader: _One, searcher: _One) -> None:
        self.connection = writer.connection
        self._writer, self._reader, self._searcher = writer, reader, searcher

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncGenerator[Self]:
        """Open or create the database at ``path``; closed at the end of the block.

        Raises:
            DatabaseUnavailable: the file cannot be opened, is damaged or is newer than this program.
        """
        async with AsyncExitStack() as stack:
            yield cls(*[await stack.enter_async_context(_One.open(path)) for _ in range(3)])

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one consistent state of the database."""
        return await self._reader.take(lambda: _consistent(self._reader.connection, work))

    async def search(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As `read`, for what may take long: only others who search wait for it."""
        return await self._searcher.take(lambda: _consistent(self._searcher.connection, work))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one immediate transaction; what it raises rolls everything back."""
        return await self._writer.take(lambda: self._transaction(work))

    async def write_unless(
        self, nothing: Callable[[sqlite3.Connection], bool], work: Callable[[sqlite3.Connection], T]
    ) -> T | None:
        """As `write`, but None where ``nothing`` finds nothing to do: then no other process waits for a lock."""
        return await self._writer.take(lambda: None if nothing(self.connection) else self._transaction(work))

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


class _One:
    """A connection with its work in a thread, one piece at a time; not abandoned when its caller is cancelled, so it
    never stops half-way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # The limiter keeps those who wait out of the threads. It is let go of too early when asyncio itself cancels the
        # caller (as its task groups do, whatever anyio shields): the lock is held for as long as the work runs.
        self._limiter, self._lock = anyio.CapacityLimiter(1), threading.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncGenerator[Self]:
        try:
            one = cls(await to_thread.run_sync(_connect, path))
        except (sqlite3.Error, OSError) as failure:
            raise _unavailable(failure) from failure
        try:
            yield one
        finally:
            with anyio.CancelScope(shield=True):
                await one.take(one.connection.close)

    async def take(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._lock:
                return work()

        try:
            return await to_thread.run_sync(alone, limiter=self._limiter)
        except sqlite3.Error as failure:
            raise _unavailable(failure) from failure


def _consistent(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.create_function("searchable", 1, searchable, deterministic=True)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an id that was given out survives a power cut, not only a crash of the process.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection, path)
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise DatabaseUnavailable(
                "The database was written by a newer workbench.",
                hint="Update comfyui-workbench, or set WORKBENCH_DATA to another folder.",
            )
        if version < _VERSION and path.stat().st_size >= _LARGE_BYTES:
            log.warning("The job database is large and is brought up to date. This may take minutes; it is done once.")
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
