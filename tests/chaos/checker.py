"""Was anything lost? Compares what was promised, what the database says, what was executed and what is on the disk.

Runs when all is over, on files alone. Every finding is a sentence; none means that all promises were kept.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["Report", "check"]

_STATES = ("succeeded", "failed", "cancelled", "expired")


@dataclass
class Report:
    """``violations`` are promises that were broken; the rest are counts."""

    violations: list[str] = field(default_factory=list[str])
    acknowledged: int = 0
    jobs: int = 0
    succeeded: int = 0
    cancelled: int = 0
    executions: int = 0
    extra_executions: int = 0

    def broken(self, sentence: str) -> None:
        self.violations.append(sentence)


@dataclass
class _Promises:
    """What the producers' journals say."""

    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    marks: dict[str, int] = field(default_factory=dict[str, int])
    cancels: set[str] = field(default_factory=set[str])
    refused: list[str] = field(default_factory=list[str])


def check(journals: Iterable[Path], data: Path, ledger: Path, engine_kills: Sequence[float]) -> Report:
    """Compare everything. ``engine_kills`` are readings of the monotonic clock, in order.

    ``data`` is the workbench's folder; its pictures are in `assets`.
    """
    report = Report()
    promises = _read_journals(journals)
    report.acknowledged = len(promises.ids)
    rows, assets = _read_database(data / "workbench.sqlite3")
    report.jobs = len(rows)
    _check_promises(report, promises, rows)
    _check_ends(report, promises, rows)
    for row in rows.values():
        if row["state"] == "succeeded":
            report.succeeded += 1
            _check_assets(report, row, assets[row["seq"]], data / "assets")
        report.cancelled += row["state"] == "cancelled"
    _check_executions(report, promises, rows, _read_ledger(ledger), engine_kills)
    return report


def _read_journals(journals: Iterable[Path]) -> _Promises:
    found = _Promises()
    for journal in journals:
        for line in journal.read_text().splitlines():
            match line.split():
                case ["sent", key, mark]:
                    found.marks[key] = int(mark)
                case ["acked" | "again", key, job]:
                    found.ids[key].add(job)
                case ["cancel", job]:
                    found.cancels.add(job)
                case _:
                    found.refused.append(line)
    return found


def _read_database(database: Path) -> tuple[dict[str, sqlite3.Row], dict[int, list[dict[str, Any]]]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    rows = {row["id"]: row for row in connection.execute("SELECT * FROM job")}
    assets: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute("SELECT job, record FROM asset ORDER BY position"):
        assets[row["job"]].append(json.loads(row["record"]))
    connection.close()
    return rows, assets


def _read_ledger(ledger: Path) -> dict[int, list[float]]:
    """When each mark was executed."""
    starts: dict[int, list[float]] = defaultdict(list)
    for line in ledger.read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "start":
            starts[_mark(entry["graph"])].append(entry["at"])
    return starts


def _mark(graph: dict[str, Any]) -> int:
    """The number that only one job has: its colour, or its seed."""
    inputs = [node["inputs"] for node in graph.values()]
    return next(int(given[name]) for given in inputs for name in ("color", "seed") if name in given)


def _check_promises(report: Report, promises: _Promises, rows: dict[str, sqlite3.Row]) -> None:
    for line in promises.refused:
        report.broken(f"a good request was refused: {line}")
    for key, ids in promises.ids.items():
        if len(ids) > 1:
            report.broken(f"{key} was acknowledged as {len(ids)} jobs: {sorted(ids)}")
        for job in ids - rows.keys():
            report.broken(f"lost: {key} was acknowledged as {job}, which is not in the database")
    seen: dict[tuple[str, str, str], str] = {}
    for job, row in rows.items():
        scope = (row["owner"], row["template"], row["idempotency_key"])
        if scope in seen:
            report.broken(f"{row['idempotency_key']} made two jobs: {seen[scope]} and {job}")
        seen[scope] = job
        if row["idempotency_key"] not in promises.marks:
            report.broken(f"{job} has the key {row['idempotency_key']}, which nobody sent")


def _check_ends(report: Report, promises: _Promises, rows: dict[str, sqlite3.Row]) -> None:
    for job, row in rows.items():
        state = row["state"]
        if state not in _STATES:
            report.broken(f"{job} never ended: it is {state}")
        elif state == "cancelled" and job not in promises.cancels:
            report.broken(f"{job} was cancelled, and nobody asked for it")
        elif state in ("failed", "expired"):
            report.broken(f"{job} {state}: {row['error']}")


def _check_assets(report: Report, row: sqlite3.Row, assets: list[dict[str, Any]], folder: Path) -> None:
    if not assets:
        report.broken(f"{row['id']} succeeded without a picture")
    values = json.loads(row["bound"])["values"]
    for asset in assets:
        path = folder / asset["key"]
        if not path.is_file():
            report.broken(f"{row['id']} succeeded, but its picture {asset['key']} is not on the disk")
            continue
        data = path.read_bytes()
        if len(data) != asset["size"] or hashlib.sha256(data).hexdigest() != asset["sha256"]:
            report.broken(f"{row['id']} succeeded, but its picture {asset['key']} is not what was stored")
            continue
        with Image.open(io.BytesIO(data)) as picture:
            colour = picture.convert("RGB").getpixel((0, 0))
        wanted = values.get("color")
        if wanted is not None and colour != (wanted >> 16, wanted >> 8 & 255, wanted & 255):
            report.broken(f"{row['id']} has the picture of another job: {colour}, not {wanted:06x}")


def _check_executions(
    report: Report,
    promises: _Promises,
    rows: dict[str, sqlite3.Row],
    starts: dict[int, list[float]],
    engine_kills: Sequence[float],
) -> None:
    by_key = {row["idempotency_key"]: row for row in rows.values()}
    kills = sorted(engine_kills)
    for key, mark in promises.marks.items():
        row, times = by_key.get(key), starts.pop(mark, [])
        report.executions += len(times)
        report.extra_executions += max(0, len(times) - 1)
        if row is None:
            if times:
                report.broken(f"{key} was executed, and there is no such job")
        elif row["state"] == "succeeded" and not times:
            report.broken(f"{row['id']} succeeded, and was never executed")
        for earlier, later in itertools.pairwise(times):
            if bisect_left(kills, earlier) == bisect_left(kills, later):
                report.broken(f"{key} was executed twice, {later - earlier:.1f} s apart, and no engine died in between")
    for mark in starts:
        report.broken(f"{mark} was executed, and nobody asked for it")
    if report.extra_executions > len(kills):
        report.broken(f"{report.extra_executions} extra executions for {len(kills)} kills of the engine")
