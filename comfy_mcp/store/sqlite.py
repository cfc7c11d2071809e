"""The SQLite store: what every method of the interface does in which transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from comfy_mcp.errors import Conflict, NotFound, Overloaded
from comfy_mcp.jobs import Asset, Job, Progress
from comfy_mcp.store import queueing, rows
from comfy_mcp.store.clock import Clock, boot, uptime
from comfy_mcp.store.database import Database
from comfy_mcp.store.interface import (
    Choose,
    Idempotency,
    Line,
    Mode,
    NewJob,
    Outcome,
    Queue,
    QueueLimits,
    Record,
    Start,
)
from comfy_mcp.store.pictures import SqlitePictures, forget, remember
from comfy_mcp.store.sqlite_lineup import SqliteLineup

__all__ = ["SqliteStore"]

_ITS_OWNER = "NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = listed.lane AND lane.owner != listed.owner)"
"""Of a job: whoever asked for it takes turns for it."""


class SqliteStore:
    """A `JobStore` in one SQLite file. Make it with `open`. ``limits`` may be replaced at any time; ``most_waiting`` is
    asked how many jobs of an owner may wait, None for as many as of any other."""

    def __init__(self, database: Database, limits: QueueLimits, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.lineup = SqliteLineup(database, _read_row)
        self.pictures = SqlitePictures(database)
        self.limits = limits
        self.most_waiting: Callable[[str], Awaitable[int | None]] = _as_any_other

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, limits: QueueLimits | None = None, clock: Clock = uptime, machine: str | None = None
    ) -> AsyncGenerator[SqliteStore]:
        """Open or create the database at ``path``; closed at the end of the block.

        ``machine`` names the run of the machine that ``clock`` is of.

        Raises:
            StorageUnavailable: the file cannot be opened, is damaged or is newer than this program.
        """
        async with Database.open(path) as database:
            store = cls(database, limits or QueueLimits(), clock)
            this = boot() if machine is None else machine
            await database.write(lambda db: queueing.rebase(db, clock(), this))
            yield store

    async def enqueue(self, new: NewJob, idempotency: Idempotency | None = None) -> Job:
        most = await self.most_waiting(new.owner)

        def insert(db: sqlite3.Connection) -> Job:
            if idempotency is not None and (earlier := _replayed(db, new.owner, new.template, idempotency)) is not None:
                return earlier
            return _job(db, self._insert(db, new, most, idempotency))

        return await self._database.write(insert)

    async def enqueue_all(self, new: Sequence[NewJob], record: Callable[[Sequence[str]], Record]) -> Sequence[Job]:
        most = {owner: await self.most_waiting(owner) for owner in {each.owner for each in new}}

        def insert(db: sqlite3.Connection) -> Sequence[Job]:
            jobs = [self._insert(db, each, most[each.owner], None) for each in new]
            _keep_record(db, record(jobs))
            return [_job(db, job) for job in jobs]

        return await self._database.write(insert)

    def _insert(self, db: sqlite3.Connection, new: NewJob, most: int | None, idempotency: Idempotency | None) -> str:
        self._refuse_too_many(db, new.owner, self.limits.per_owner if most is None else most)
        key, fingerprint = (idempotency.key, idempotency.fingerprint) if idempotency else (None, None)
        job, lane = uuid4().hex, queueing.lane_of(db, new)
        bound, warnings = rows.dump(new.bound), rows.dump(new.warnings)
        db.execute(
            "INSERT INTO job (id, owner, template, style, bound, state, created, warnings, idempotency_key,"
            " fingerprint, lane, since, expires_in) VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
            (
                *(job, new.owner, new.template, new.style, bound, time.time(), warnings, key, fingerprint, lane),
                *(self._clock(), new.expires_in),
            ),
        )
        return job

    def _refuse_too_many(self, db: sqlite3.Connection, owner: str, most: int) -> None:
        count = "SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued'"
        waiting = db.execute(f"{count} LIMIT ?)", (self.limits.jobs,)).fetchone()[0]
        own = waiting
        if waiting >= most:
            own = db.execute(f"{count} AND owner = ? LIMIT ?)", (owner, most)).fetchone()[0]
        if waiting >= self.limits.jobs or own >= most:
            seconds = max(1, round(queueing.seconds_to_go(db)))
            raise Overloaded(
                f"{max(waiting, own)} jobs are waiting, and no more are taken.",
                hint=f"Try again in about {seconds} s, or cancel some.",
                retry_after=seconds,
            )

    async def find(self, owner: str, template: str, idempotency: Idempotency) -> Job | None:
        return await self._database.read(lambda db: _replayed(db, owner, template, idempotency))

    async def get(self, job: str, owner: str | None = None) -> Job:
        return await self._database.read(lambda db: _job(db, job, owner))

    async def list(
        self,
        owner: str | None = None,
        *,
        template: str | None = None,
        limit: int = 50,
        before: str | None = None,
        cells: bool = True,
    ) -> Sequence[Job]:
        def select(db: sqlite3.Connection) -> Sequence[Job]:
            query, values = "SELECT * FROM listed WHERE 1", list[object]()
            if owner is not None:
                query, values = query + " AND owner = ?", [*values, owner]
            if template is not None:
                query, values = query + " AND template = ?", [*values, template]
            if before is not None:
                query, values = query + " AND seq < (SELECT seq FROM job WHERE id = ?)", [*values, before]
            if not cells:
                query += f" AND (state IN ('queued', 'running') OR {_ITS_OWNER})"
            found = db.execute(query + " ORDER BY seq DESC LIMIT ?", [*values, limit]).fetchall()
            return [_read_row(db, row) for row in found]

        return await self._database.read(select)

    async def active(self, owner: str | None = None, *, template: str | None = None, limit: int = 50) -> Sequence[Job]:
        def select(db: sqlite3.Connection) -> Sequence[Job]:
            found = list[sqlite3.Row]()
            for state in ("running", "queued"):
                query = (
                    f"SELECT * FROM listed WHERE state = '{state}' AND (? IS NULL OR owner = ?)"
                    " AND (? IS NULL OR template = ?) ORDER BY seq LIMIT ?"
                )
                found += db.execute(query, (owner, owner, template, template, limit - len(found)))
            return [_read_row(db, row) for row in found]

        return await self._database.read(select)

    async def count(self, owner: str, template: str) -> int:
        # A state each: the indexes are of one.
        each = "(SELECT count(*) FROM job WHERE state = '{}' AND owner = ? AND template = ?)"
        query = f"SELECT {each.format('running')} + {each.format('queued')}"
        return await self._database.read(lambda db: db.execute(query, (owner, template) * 2).fetchone()[0])

    async def line(self, limit: int) -> Line:
        return await self._database.read(lambda db: queueing.line(db, limit, self._clock()))

    async def ahead(self, job: str) -> int:
        def count(db: sqlite3.Connection) -> int:
            query = (
                "SELECT count(*) FROM job AS ahead, job AS mine WHERE mine.id = ? AND mine.state = 'queued'"
                " AND ahead.state = 'queued' AND ahead.seq < mine.seq"
            )
            return db.execute(query, (job,)).fetchone()[0]

        return await self._database.read(count)

    async def cancel(self, job: str, owner: str | None = None) -> Job:
        def update(db: sqlite3.Connection) -> Job:
            _job(db, job, owner)
            db.execute(
                "UPDATE job SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'queued'", (time.time(), job)
            )
            db.execute("UPDATE job SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job,))
            return _job(db, job)

        return await self._database.write(update)

    async def cancel_all(self, owner: str, template: str, prefix: str) -> Sequence[str]:
        which = "owner = ? AND template = ? AND idempotency_key >= ? AND idempotency_key < ?"
        values = (owner, template, prefix, prefix + chr(0x10FFFF))

        def update(db: sqlite3.Connection) -> Sequence[str]:
            ended = f"UPDATE job SET state = 'cancelled', finished = ? WHERE {which} AND state = 'queued' RETURNING id"
            asked = f"UPDATE job SET cancel_requested = 1 WHERE {which} AND state = 'running' RETURNING id"
            found = db.execute(ended, (time.time(), *values)).fetchall() + db.execute(asked, values).fetchall()
            return [row["id"] for row in found]

        return await self._database.write(update)

    async def lease(self, attempt: str, choose: Choose) -> Job | None:
        def take(db: sqlite3.Connection) -> Job | None:
            leased = queueing.lease(db, attempt, choose, self._clock())
            return None if leased is None else _job(db, leased)

        def nothing_to_start(db: sqlite3.Connection) -> bool:
            waiting = queueing.queue(db, self._clock())
            return not waiting.lanes or choose(waiting) is None

        return await self._database.write_unless(nothing_to_start, take)

    async def queue(self) -> Queue:
        return await self._database.read(lambda db: queueing.queue(db, self._clock()))

    async def begin_batch(self, start: Start, model: str) -> None:
        await self._database.write(lambda db: queueing.begin_batch(db, start, model, self._clock()))

    async def heartbeat(self, held: Mapping[str, int]) -> frozenset[str]:
        return await self._database.write(lambda db: queueing.heartbeat(db, held, self._clock()))

    async def adopt(self, *, everything: bool = False) -> Sequence[Job]:
        def take_over(db: sqlite3.Connection) -> Sequence[Job]:
            adopted = queueing.adopt(db, self.limits.lease, self._clock(), everything=everything)
            return [_job(db, job) for job in adopted]

        return await self._database.write(take_over)

    async def expire(self) -> Sequence[str]:
        return await self._database.write(lambda db: queueing.expire(db, self._clock()))

    async def cancel_requests(self) -> frozenset[str]:
        query = "SELECT id FROM job WHERE state = 'running' AND cancel_requested"
        return await self._database.read(lambda db: frozenset(row["id"] for row in db.execute(query)))

    async def record_progress(self, job: str, token: int, progress: Progress) -> None:
        text = rows.dump_progress(progress)
        query = "UPDATE job SET progress = ? WHERE id = ? AND token = ? AND state = 'running'"
        await self._database.write(lambda db: db.execute(query, (text, job, token)))

    async def release(self, job: str, token: int, *, refund: bool = False) -> bool:
        return await self._database.write(lambda db: queueing.release(db, job, token, refund=refund))

    async def let_go(self, held: Mapping[str, int]) -> None:
        await self._database.write(lambda db: queueing.let_go(db, held))

    async def finish(self, job: str, token: int, outcome: Outcome) -> bool:
        def commit(db: sqlite3.Connection) -> bool:
            row = queueing.end(db, job, token, outcome, self._clock())
            if row is None:
                return False
            for position, asset in enumerate(outcome.assets):
                _insert_asset(db, row["owner"], asset, row["seq"], position)
            return True

        return await self._database.write(commit)

    async def forget_card(self, card: str) -> None:
        await self._database.write(lambda db: db.execute("DELETE FROM batch WHERE card = ?", (card,)))

    async def modes(self) -> Mapping[str, Mode]:
        query = "SELECT backend, mode FROM mode"
        return await self._database.read(lambda db: {row["backend"]: Mode(row["mode"]) for row in db.execute(query)})

    async def set_mode(self, backend: str, mode: Mode) -> None:
        def update(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM mode WHERE backend = ?", (backend,))
            if mode is not Mode.ACTIVE:
                db.execute("INSERT INTO mode (backend, mode) VALUES (?, ?)", (backend, mode))

        await self._database.write(update)

    async def keep_record(self, record: Record) -> None:
        await self._database.write(lambda db: _keep_record(db, record))

    async def prune_records(self, owner: str, kind: str, keep: int) -> None:
        query = (
            "DELETE FROM record WHERE owner = ? AND kind = ? AND name NOT IN"
            " (SELECT name FROM record WHERE owner = ? AND kind = ? ORDER BY name DESC LIMIT ?)"
        )
        await self._database.write(lambda db: db.execute(query, (owner, kind, owner, kind, keep)))

    async def record(self, owner: str, kind: str, name: str) -> Mapping[str, Any] | None:
        query = "SELECT value FROM record WHERE owner = ? AND kind = ? AND name = ?"

        def select(db: sqlite3.Connection) -> Mapping[str, Any] | None:
            row = db.execute(query, (owner, kind, name)).fetchone()
            return None if row is None else json.loads(row["value"])

        return await self._database.read(select)

    async def records(self, owner: str, kind: str) -> Mapping[str, Mapping[str, Any]]:
        query = "SELECT name, value FROM record WHERE owner = ? AND kind = ? ORDER BY name"

        def select(db: sqlite3.Connection) -> Mapping[str, Mapping[str, Any]]:
            return {row["name"]: json.loads(row["value"]) for row in db.execute(query, (owner, kind))}

        return await self._database.read(select)

    async def drop_record(self, owner: str, kind: str, name: str) -> bool:
        query = "DELETE FROM record WHERE owner = ? AND kind = ? AND name = ?"
        return await self._database.write(lambda db: db.execute(query, (owner, kind, name)).rowcount == 1)

    async def add_asset(self, owner: str, asset: Asset) -> None:
        await self._database.write(lambda db: _insert_asset(db, owner, asset))

    async def drop_asset(self, asset: Asset) -> None:
        def drop(db: sqlite3.Connection) -> None:
            found = db.execute("SELECT id FROM asset WHERE id = ? AND job IS NULL", (asset.id,))
            forget(db, [row["id"] for row in found])

        await self._database.write(drop)

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        def select(db: sqlite3.Connection) -> Asset:
            row = db.execute("SELECT owner, record FROM asset WHERE id = ?", (asset,)).fetchone()
            if row is None or owner not in (None, row["owner"]):
                raise NotFound("There is no such picture.", hint="Use an asset id from an earlier answer.")
            return rows.read_asset(row["record"])

        return await self._database.read(select)


async def _as_any_other(owner: str) -> int | None:
    return None


def _keep_record(db: sqlite3.Connection, record: Record) -> None:
    query = "INSERT OR REPLACE INTO record (owner, kind, name, value) VALUES (?, ?, ?, ?)"
    db.execute(query, (record.owner, record.kind, record.name, rows.dump(dict(record.value))))


def _replayed(db: sqlite3.Connection, owner: str, template: str, idempotency: Idempotency) -> Job | None:
    row = db.execute(
        "SELECT * FROM listed WHERE owner = ? AND template = ? AND idempotency_key = ?",
        (owner, template, idempotency.key),
    ).fetchone()
    if row is None:
        return None
    if row["fingerprint"] != idempotency.fingerprint:
        raise Conflict("This idempotency key was used for another request.", hint="Send a new key with a new request.")
    return _read_row(db, row)


def _job(db: sqlite3.Connection, job: str, owner: str | None = None) -> Job:
    row = db.execute("SELECT * FROM listed WHERE id = ?", (job,)).fetchone()
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
    remember(db, asset.id)
