"""The line of those who wait, in SQLite.

Owns how places are exchanged: the order of arrival is `job.seq`, which only jobs that ended are referred to by. What a
lane has waited belongs to the place and stays there; when a job expires belongs to the job and goes with it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence

from comfy_mcp.errors import BadRequest, NotFound
from comfy_mcp.jobs import Job
from comfy_mcp.store.database import Database
from comfy_mcp.store.lineup import Spot, Standing

__all__ = ["SqliteLineup"]

_LATELY = 3000
"""How far back in the order of arrival it is looked for what just ended."""

Read = Callable[[sqlite3.Connection, sqlite3.Row], Job]


class SqliteLineup:
    """A `Lineup` in one SQLite file; ``read`` makes a job of a row of `listed`."""

    def __init__(self, database: Database, read: Read) -> None:
        self._database, self._read = database, read

    async def waiting(self, limit: int) -> Sequence[Standing]:
        # Both halves are read from indexes: the rows are long, and their ends on other pages.
        query = (
            "SELECT job.id, job.owner, place.lane, place.seq FROM"
            " (SELECT lane, seq FROM job INDEXED BY job_waiting WHERE state = 'queued') AS place"
            " JOIN job ON job.seq = place.seq ORDER BY place.seq LIMIT ?"
        )

        def select(db: sqlite3.Connection) -> Sequence[Standing]:
            return [Standing(row["id"], row["owner"], row["lane"], row["seq"]) for row in db.execute(query, (limit,))]

        return await self._database.read(select)

    async def running(self) -> Sequence[Job]:
        return await self._jobs("SELECT * FROM listed WHERE state = 'running' ORDER BY seq")

    async def several(self, jobs: Sequence[str]) -> Sequence[Job]:
        query = "SELECT listed.* FROM json_each(?) AS asked JOIN listed ON listed.id = asked.value ORDER BY asked.key"
        return await self._jobs(query, json.dumps(list(jobs)))

    async def ended(self, owner: str | None, since: float, limit: int) -> Sequence[Job]:
        query = (
            "SELECT * FROM listed WHERE seq > (SELECT coalesce(max(seq), 0) FROM job) - ? AND (? IS NULL OR owner = ?)"
            " AND finished > ? ORDER BY state = 'cancelled', finished DESC LIMIT ?"
        )
        return await self._jobs(query, _LATELY, owner, owner, since, limit)

    async def _jobs(self, query: str, *values: object) -> Sequence[Job]:
        return await self._database.read(lambda db: [self._read(db, row) for row in db.execute(query, values)])

    async def move(self, job: str, owner: str | None, spot: Spot, other: str = "") -> None:
        def exchange(db: sqlite3.Connection) -> None:
            places = _places_beside(db, _waiting(db, job, owner))
            order = [row["id"] for row in places]
            order.remove(job)
            order.insert(_index(order, spot, other), job)
            _give(db, places, order)

        await self._database.write(exchange)

    async def set_priority(self, job: str, owner: str | None, priority: int) -> None:
        def update(db: sqlite3.Connection) -> None:
            lane = _waiting(db, job, owner)["lane"]
            kind = "owner, priority, template, model, needs"
            db.execute(
                f"INSERT OR IGNORE INTO lane ({kind}) SELECT owner, ?, template, model, needs FROM lane WHERE id = ?",
                (priority, lane),
            )
            db.execute(
                "UPDATE job SET lane = (SELECT other.id FROM lane JOIN lane AS other USING (owner, template, model,"
                " needs) WHERE lane.id = ? AND other.priority = ?) WHERE id = ?",
                (lane, priority, job),
            )

        await self._database.write(update)

    async def clear(self, owner: str, *, running: bool = False) -> Sequence[str]:
        ended = "UPDATE job SET state = 'cancelled', finished = ? WHERE owner = ? AND state = 'queued' RETURNING id"
        asked = "UPDATE job SET cancel_requested = 1 WHERE owner = ? AND state = 'running' RETURNING id"

        def update(db: sqlite3.Connection) -> Sequence[str]:
            found = db.execute(ended, (time.time(), owner)).fetchall()
            found += db.execute(asked, (owner,)).fetchall() if running else []
            return [row["id"] for row in found]

        return await self._database.write(update)

    async def needs(self, job: str) -> frozenset[str]:
        query = "SELECT lane.needs FROM job JOIN lane ON lane.id = job.lane WHERE job.id = ?"

        def select(db: sqlite3.Connection) -> frozenset[str]:
            row = db.execute(query, (job,)).fetchone()
            return frozenset(json.loads(row["needs"])) if row else frozenset()

        return await self._database.read(select)


def _found(db: sqlite3.Connection, job: str, owner: str | None) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM listed WHERE id = ?", (job,)).fetchone()
    if row is None or owner not in (None, row["owner"]):
        raise NotFound("There is no job with this id.", hint="Use the job id from the answer that started it.")
    return row


def _waiting(db: sqlite3.Connection, job: str, owner: str | None) -> sqlite3.Row:
    row = _found(db, job, owner)
    if row["state"] != "queued":
        raise BadRequest("This job does not wait any more.", hint="Only what waits can be moved.")
    return row


def _places_beside(db: sqlite3.Connection, job: sqlite3.Row) -> Sequence[sqlite3.Row]:
    """The waiting jobs of the same owner and priority, in the order of arrival."""
    query = (
        "SELECT job.id, job.seq, job.since FROM job JOIN lane ON lane.id = job.lane"
        " WHERE job.state = 'queued' AND job.owner = ? AND lane.priority = ? ORDER BY job.seq"
    )
    return db.execute(query, (job["owner"], job["priority"])).fetchall()


def _index(order: Sequence[str], spot: Spot, other: str) -> int:
    if spot in (Spot.FIRST, Spot.LAST):
        return 0 if spot is Spot.FIRST else len(order)
    if other not in order:
        raise BadRequest("The queue has changed.", hint="Look at it again, then move the job.")
    return order.index(other) + (spot is Spot.AFTER)


def _give(db: sqlite3.Connection, places: Sequence[sqlite3.Row], order: Sequence[str]) -> None:
    """The places, in their order, to the jobs in theirs."""
    changed = [(place, job) for place, job in zip(places, order, strict=True) if place["id"] != job]
    # Out of each other's way first: no two may have one place, not even for a moment.
    db.executemany("UPDATE job SET seq = -seq WHERE id = ?", [(job,) for _, job in changed])
    db.executemany(
        "UPDATE job SET seq = ?, since = ?, expires_in = expires_in + since - ? WHERE id = ?",
        [(place["seq"], place["since"], place["since"], job) for place, job in changed],
    )
