"""The moves of a job between waiting, running and ended, as SQL on one connection inside the caller's transaction.

Owns leases, fencing tokens and the figures that the scheduling policy reads. ``now`` is always `clock.uptime`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import JobState
from comfy_mcp.store import rows
from comfy_mcp.store.interface import Choose, Line, NewJob, Outcome, Queue, Start
from llm_bridge.forecast import Waiting
from llm_bridge.scheduling import Batch, Lane

__all__ = [
    "adopt",
    "begin_batch",
    "end",
    "expire",
    "heartbeat",
    "lane_of",
    "lease",
    "let_go",
    "line",
    "queue",
    "rebase",
    "release",
    "seconds_to_go",
]

_NEWEST_COUNTS = 0.3
_UNMEASURED_SECONDS = 30.0
_EXPIRED = ErrorRecord(
    "expired",
    "No backend could start the job in time.",
    "Look whether one that has its models is up and not paused, then ask again.",
)

_ACTIVE_LANES = """
WITH RECURSIVE active (lane) AS (
    SELECT min(lane) FROM job WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(lane) FROM job WHERE state = 'queued' AND lane > active.lane)
    FROM active WHERE active.lane IS NOT NULL
)
SELECT lane.*, head.seq, head.since FROM active
JOIN lane ON lane.id = active.lane
JOIN job AS head ON head.seq = (SELECT min(seq) FROM job WHERE state = 'queued' AND lane = active.lane)
"""
"""Jumps from lane to lane in the index instead of reading every waiting job."""


def lane_of(db: sqlite3.Connection, new: NewJob) -> int:
    """The lane of a new job, made when it is the first of its kind."""
    values = (new.turn or new.owner, new.priority, new.template, new.model, json.dumps(sorted(new.needs)))
    where = "owner = ? AND priority = ? AND template = ? AND model = ? AND needs = ?"
    found = db.execute(f"SELECT id FROM lane WHERE {where}", values).fetchone()
    if found is None:
        insert = "INSERT INTO lane (owner, priority, template, model, needs) VALUES (?, ?, ?, ?, ?) RETURNING id"
        found = db.execute(insert, values).fetchone()
    lane: int = found["id"]
    return lane


def queue(db: sqlite3.Connection, now: float) -> Queue:
    """What waits now, and what the cards are at."""
    lanes = [
        Lane(
            id=row["id"],
            owner=row["owner"],
            priority=row["priority"],
            model=row["model"],
            needs=frozenset(json.loads(row["needs"])),
            oldest=row["seq"],
            waited=max(0.0, now - row["since"]),
        )
        for row in db.execute(_ACTIVE_LANES)
    ]
    batches = {
        row["card"]: Batch(row["server"], row["model"], row["gate"], max(0.0, now - row["began"]))
        for row in db.execute("SELECT * FROM batch")
    }
    turns = {row["owner"]: row["turn"] for row in db.execute("SELECT * FROM turn")}
    newest = db.execute("SELECT coalesce(max(seq), 0) FROM job").fetchone()[0]
    return Queue(lanes, batches, turns, newest)


def lease(db: sqlite3.Connection, attempt: str, choose: Choose, now: float) -> str | None:
    """Start the job that ``choose`` wants; its id."""
    waiting = queue(db, now)
    start = choose(waiting) if waiting.lanes else None
    if start is None:
        return None
    lane = next(lane for lane in waiting.lanes if lane.id == start.lane)
    row = db.execute(
        "UPDATE job SET state = 'running', attempt = ?, attempts = attempts + 1, token = token + 1, backend = ?,"
        " beat = ?, run_from = ?, progress = NULL, started = coalesce(started, ?) WHERE seq ="
        " (SELECT min(seq) FROM job WHERE state = 'queued' AND lane = ?) RETURNING id",
        (attempt, start.backend, now, now, time.time(), start.lane),
    ).fetchone()
    db.executemany(
        "INSERT INTO turn (owner, turn) SELECT ?, coalesce(max(turn), 0) + 1 FROM turn WHERE true"
        " ON CONFLICT (owner) DO UPDATE SET turn = excluded.turn",
        [(owner,) for owner in (*start.served, lane.owner)],
    )
    if start.begins:
        before = waiting.batches.get(start.card)
        # A job that needs no model leaves the one that its server holds.
        held = before.model if before is not None and before.server == start.backend else ""
        begin_batch(db, start, lane.model or held, now)
    job: str = row["id"]
    return job


def begin_batch(db: sqlite3.Connection, start: Start, model: str, now: float) -> None:
    """A card is at ``model`` from now on, for all that waits."""
    db.execute(
        "INSERT OR REPLACE INTO batch (card, server, model, gate, began)"
        " VALUES (?, ?, ?, (SELECT coalesce(max(seq), 0) FROM job), ?)",
        (start.card, start.backend, model, now),
    )


def heartbeat(db: sqlite3.Connection, held: Mapping[str, int], now: float) -> frozenset[str]:
    query = "UPDATE job SET beat = ? WHERE id = ? AND token = ? AND state = 'running'"
    return frozenset(job for job, token in held.items() if not db.execute(query, (now, job, token)).rowcount)


def adopt(db: sqlite3.Connection, lease_seconds: float, now: float, *, everything: bool) -> Sequence[str]:
    """Take over running jobs; a heartbeat from the future was one before the machine started anew.

    A job that its dispatcher let go of has none: nothing ended under it.
    """
    found = db.execute(
        "UPDATE job SET token = token + 1, takeovers = takeovers + (beat IS NOT NULL), beat = ? WHERE state = 'running'"
        " AND (? OR beat IS NULL OR beat > ? OR beat <= ?) RETURNING id",
        (now, everything, now, now - lease_seconds),
    )
    return [row["id"] for row in found]


def expire(db: sqlite3.Connection, now: float) -> Sequence[str]:
    found = db.execute(
        "UPDATE job SET state = 'expired', finished = ?, error = ?"
        " WHERE state = 'queued' AND started IS NULL AND since + expires_in < ? RETURNING id",
        (time.time(), rows.dump(_EXPIRED), now),
    )
    return [row["id"] for row in found]


def release(db: sqlite3.Connection, job: str, token: int, *, refund: bool) -> bool:
    query = (
        "UPDATE job SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,"
        " finished = CASE WHEN cancel_requested THEN ? END, attempts = attempts - ?, progress = NULL, beat = NULL,"
        " started = CASE WHEN attempts > ? THEN started END WHERE id = ? AND token = ? AND state = 'running'"
    )
    return db.execute(query, (time.time(), int(refund), int(refund), job, token)).rowcount == 1


def let_go(db: sqlite3.Connection, held: Mapping[str, int]) -> None:
    query = "UPDATE job SET beat = NULL WHERE id = ? AND token = ? AND state = 'running'"
    db.executemany(query, held.items())


def end(db: sqlite3.Connection, job: str, token: int, outcome: Outcome, now: float) -> sqlite3.Row | None:
    """End a running job and learn from how long it took; its seq and owner, or None for a stale token.

    One that failed after somebody asked to cancel it is cancelled: nobody wants to hear why it failed.
    """
    cancelled = outcome.state is JobState.FAILED and _cancel_requested(db, job)
    row: sqlite3.Row | None = db.execute(
        "UPDATE job SET state = ?, finished = ?, outputs = ?, error = ?, warnings = ?, progress = NULL, beat = NULL"
        " WHERE id = ? AND token = ? AND state = 'running' RETURNING seq, owner, lane, run_from, takeovers",
        (
            JobState.CANCELLED if cancelled else outcome.state,
            time.time(),
            rows.dump(tuple(outcome.outputs)),
            rows.dump(outcome.error) if outcome.error and not cancelled else None,
            rows.dump(tuple(outcome.warnings)),
            job,
            token,
        ),
    ).fetchone()
    if row is not None and outcome.state is JobState.SUCCEEDED and not row["takeovers"] and row["run_from"] is not None:
        db.execute(
            "INSERT INTO duration (template, model, seconds) SELECT template, model, ? FROM lane WHERE id = ?"
            " ON CONFLICT DO UPDATE SET seconds = seconds + ? * (excluded.seconds - seconds)",
            (max(0.0, now - row["run_from"]), row["lane"], _NEWEST_COUNTS),
        )
    return row


def _cancel_requested(db: sqlite3.Connection, job: str) -> bool:
    return db.execute("SELECT 1 FROM job WHERE id = ? AND cancel_requested", (job,)).fetchone() is not None


def line(db: sqlite3.Connection, limit: int, now: float) -> Line:
    measured = (
        "lane ON lane.id = job.lane LEFT JOIN duration"
        " ON duration.template = lane.template AND duration.model = lane.model"
    )
    running = db.execute(f"SELECT backend, run_from, seconds FROM job JOIN {measured} WHERE job.state = 'running'")
    now_waiting = queue(db, now)
    waiting = _first_in_line(db, now_waiting.lanes, limit)
    lanes = json.dumps([lane.id for lane in now_waiting.lanes])
    seconds = db.execute(
        "SELECT id, seconds FROM lane JOIN duration USING (template, model)"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (lanes,),
    )
    return Line(
        now_waiting,
        [Waiting(row["id"], row["lane"], row["seq"]) for row in waiting],
        [(row["backend"], _left(row, now)) for row in running],
        {row["id"]: row["seconds"] for row in seconds},
    )


def _first_in_line(db: sqlite3.Connection, lanes: Sequence[Lane], limit: int) -> Sequence[sqlite3.Row]:
    """As many of each lane: somebody with one job may come before most of the jobs of one who has many."""
    foremost = sorted(lanes, key=lambda lane: (-lane.priority, lane.oldest))[:limit]
    query = "SELECT id, lane, seq FROM job WHERE state = 'queued' AND lane = ? ORDER BY seq LIMIT ?"
    found = list[sqlite3.Row]()
    for number, lane in enumerate(foremost):
        found += db.execute(query, (lane.id, -(-(limit - len(found)) // (len(foremost) - number))))
    return sorted(found, key=lambda row: row["seq"])


def _left(row: sqlite3.Row, now: float) -> float | None:
    return None if row["seconds"] is None else max(0.0, row["seconds"] - max(0.0, now - (row["run_from"] or now)))


def seconds_to_go(db: sqlite3.Connection) -> float:
    """About how long until one place in a full queue is free: what a job takes on average."""
    found = db.execute("SELECT avg(seconds) FROM duration").fetchone()[0]
    return _UNMEASURED_SECONDS if found is None else float(found)


def rebase(db: sqlite3.Connection, now: float, boot: str) -> None:
    """After a restart of the machine, or on another one, waits start anew: its clock began somewhere else.

    Where ``boot`` is not known, readings from the future tell.
    """
    anew = db.execute("SELECT id FROM boot").fetchone()["id"] != boot
    db.execute("UPDATE boot SET id = ?", (boot,))
    db.execute("UPDATE job SET since = ? WHERE state IN ('queued', 'running') AND (? OR since > ?)", (now, anew, now))
    db.execute("UPDATE job SET run_from = ? WHERE state = 'running' AND (? OR run_from > ?)", (now, anew, now))
    db.execute("UPDATE batch SET began = ? WHERE ? OR began > ?", (now, anew, now))
