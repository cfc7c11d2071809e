"""The pictures of the SQLite store: filed under what made them when they are recorded, found again, and forgotten.

Owns the two tables of that (`picture`, and `found`, the index of words) and the list of files whose bytes must go.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from comfy_mcp.errors import NotFound
from comfy_mcp.jobs import Asset
from comfy_mcp.store import rows
from comfy_mcp.store.database import Database
from comfy_mcp.store.picture_values import Dropped, Facets, Found, Sought, Usage
from comfy_mcp.store.searching import searchable

__all__ = ["SqlitePictures", "forget", "remember"]

_MOST_WORDS, _MOST_FACETS, _PROMPT_LETTERS = 16, 200, 300
_WORD = re.compile(r"\w")
_COLUMNS = "asset, owner, made, size, source, kind, template, model, style"
_FOUND = f"""
SELECT asset.record, picture.made, picture.kept, picture.template, job.id AS job,
    substr(json_extract(job.bound, '$.values.prompt'), 1, {_PROMPT_LETTERS}) AS prompt
"""
_OWN = "picture.asset = ? AND (? IS NULL OR picture.owner = ?)"
_NEEDED = """
WITH bound (text) AS (
    SELECT bound FROM job WHERE state = 'queued' UNION ALL SELECT bound FROM job WHERE state = 'running'
), needed (asset) AS (
    SELECT json_extract(each.value, '$.asset') FROM bound, json_each(bound.text, '$.uploads') AS each
    WHERE json_extract(each.value, '$.asset') IS NOT NULL
)
"""
"""A part of a statement: the assets that jobs which have not ended read."""
_RECORDED = "EXISTS (SELECT 1 FROM asset WHERE json_extract(asset.record, '$.key') = +leaving.key)"
"""The plus takes the type from the column, without which SQLite does not look into the index."""
_MADE_NOW = (
    "EXISTS (SELECT 1 FROM job WHERE state = 'running' AND job.template = leaving.template"
    " AND json_extract(job.bound, '$.values.seed') IS leaving.seed)"
)
"""A running job may have stored its files already; it records them when it ends."""
_SPAN = """
WITH span (first, last) AS MATERIALIZED (
    SELECT min(seq), max(seq) FROM picture INDEXED BY picture_made WHERE made >= ? AND made < ?
)
"""
"""A part of a statement: where those of some days lie, so that the index of words is read there alone. Clocks are put
back at times, so others may lie between them."""
_ALWAYS = (0.0, 1e12)
_ONE_OF = """
WITH RECURSIVE each (value) AS (
    SELECT min({0}) FROM picture WHERE owner = :owner AND {0} > ''
    UNION ALL SELECT (SELECT min({0}) FROM picture WHERE owner = :owner AND {0} > each.value)
    FROM each WHERE value IS NOT NULL
) SELECT value FROM each WHERE value IS NOT NULL LIMIT {1}
"""
"""Jumps from value to value in the index instead of reading every picture."""
_NEWEST = f"""
SELECT value, (
    SELECT asset FROM picture WHERE owner = :owner AND {{0}} = value AND kind = 'image' ORDER BY seq DESC LIMIT 1
) AS asset FROM ({_ONE_OF})
"""


def remember(db: sqlite3.Connection, asset: str) -> None:
    """File an asset that was just recorded, with the job that made it."""
    db.execute(f"INSERT INTO picture ({_COLUMNS}) SELECT {_COLUMNS} FROM recorded WHERE asset = ?", (asset,))
    _file(db, asset)


def _file(db: sqlite3.Connection, asset: str) -> None:
    insert = "INSERT INTO found (rowid, facets, text) SELECT seq, facets, searchable(prompt) FROM filed WHERE asset = ?"
    db.execute(insert, (asset,))


class SqlitePictures:
    """The `Pictures` of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, owner: str, sought: Sought, *, limit: int = 60, beyond: str | None = None, newer: bool = False
    ) -> Sequence[Found]:
        def select(db: sqlite3.Connection) -> Sequence[Found]:
            query, values = _which(owner, sought)
            if beyond is not None:
                row = db.execute(f"SELECT seq FROM picture WHERE {_OWN}", (beyond, owner, owner)).fetchone()
                if row is None:
                    raise _absent()
                query, values = query + f" AND found.rowid {'>' if newer else '<'} ?", [*values, row["seq"]]
            query += f" ORDER BY found.rowid {'ASC' if newer else 'DESC'} LIMIT ?"
            return [_read(row) for row in db.execute(query, [*values, limit])]

        return await self._database.search(select)

    async def get(self, asset: str, owner: str | None = None) -> Found:
        query = (
            f"{_FOUND} FROM picture JOIN asset ON asset.id = picture.asset LEFT JOIN job ON job.seq = asset.job"
            f" WHERE {_OWN}"
        )

        def select(db: sqlite3.Connection) -> Found:
            row = db.execute(query, (asset, owner, owner)).fetchone()
            if row is None:
                raise _absent()
            return _read(row)

        return await self._database.read(select)

    async def facets(self, owner: str) -> Facets:
        def select(db: sqlite3.Connection) -> Facets:
            def values(column: str) -> list[str]:
                return [row["value"] for row in db.execute(_ONE_OF.format(column, _MOST_FACETS), {"owner": owner})]

            return Facets(values("template"), values("model"), values("style"))

        return await self._database.search(select)

    async def newest(self, owner: str, each: Literal["template", "style"]) -> Mapping[str, str]:
        def select(db: sqlite3.Connection) -> Mapping[str, str]:
            found = db.execute(_NEWEST.format(each, _MOST_FACETS), {"owner": owner})
            return {row["value"]: row["asset"] for row in found if row["asset"] is not None}

        return await self._database.search(select)

    async def usage(self, owner: str | None = None) -> Usage:
        where, values = ("", ()) if owner is None else (" WHERE owner = ?", (owner,))
        query = f"SELECT coalesce(sum(count), 0), coalesce(sum(size), 0) FROM taken{where}"
        return await self._database.read(lambda db: Usage(*db.execute(query, values).fetchone()))

    async def mark(self, asset: str, owner: str, kept: bool) -> None:
        def update(db: sqlite3.Connection) -> None:
            changed = db.execute(f"UPDATE picture SET kept = ? WHERE {_OWN} RETURNING seq", (kept, asset, owner, owner))
            row = changed.fetchone()
            if row is None:
                raise _absent()
            db.execute("DELETE FROM found WHERE rowid = ?", (row["seq"],))
            _file(db, asset)

        await self._database.write(update)

    async def drop(self, assets: Sequence[str], owner: str) -> Dropped:
        def drop(db: sqlite3.Connection) -> Dropped:
            named = "asset IN (SELECT value FROM json_each(?)) AND owner = ?"
            query = f"{_NEEDED} SELECT asset, asset IN needed AS needed FROM picture WHERE {named}"
            found = db.execute(query, (json.dumps(list(assets)), owner)).fetchall()
            return Dropped(
                forget(db, [row["asset"] for row in found if not row["needed"]]),
                [row["asset"] for row in found if row["needed"]],
            )

        return await self._database.write(drop)

    async def drop_aged(self, before: float, limit: int) -> Dropped:
        aged = "NOT kept AND made < ?"

        def nothing(db: sqlite3.Connection) -> bool:
            return db.execute(f"SELECT 1 FROM picture WHERE {aged} LIMIT 1", (before,)).fetchone() is None

        def drop(db: sqlite3.Connection) -> Dropped:
            query = f"{_NEEDED} SELECT asset FROM picture WHERE {aged} AND asset NOT IN needed ORDER BY made LIMIT ?"
            return Dropped(forget(db, [row["asset"] for row in db.execute(query, (before, limit))]), ())

        return await self._database.write_unless(nothing, drop) or Dropped((), ())

    async def leaving(self, limit: int) -> Sequence[Asset]:
        def take(db: sqlite3.Connection) -> Sequence[Asset]:
            db.execute(f"DELETE FROM leaving WHERE {_RECORDED}")
            # By chance: one that cannot be removed does not keep all others back.
            query = f"SELECT record FROM leaving WHERE NOT {_MADE_NOW} ORDER BY random() LIMIT ?"
            found = db.execute(query, (limit,))
            return [rows.read_asset(row["record"]) for row in found]

        def nothing(db: sqlite3.Connection) -> bool:
            return db.execute("SELECT 1 FROM leaving LIMIT 1").fetchone() is None

        return await self._database.write_unless(nothing, take) or ()

    async def erase(self, key: str, remove: Callable[[], None]) -> None:
        def take(db: sqlite3.Connection) -> None:
            query = f"SELECT 1 FROM leaving WHERE key = ? AND NOT {_RECORDED} AND NOT {_MADE_NOW}"
            if db.execute(query, (key,)).fetchone() is not None:
                remove()
                db.execute("DELETE FROM leaving WHERE key = ?", (key,))

        await self._database.write(take)


def forget(db: sqlite3.Connection, assets: Sequence[str]) -> list[Asset]:
    """Drop the records of these assets, and note that their bytes must go."""
    named = json.dumps(list(assets))
    db.execute(
        "INSERT OR IGNORE INTO leaving (key, record, template, seed) SELECT json_extract(asset.record, '$.key'),"
        " asset.record, job.template, json_extract(job.bound, '$.values.seed')"
        " FROM asset LEFT JOIN job ON job.seq = asset.job WHERE asset.id IN (SELECT value FROM json_each(?))",
        (named,),
    )
    query = "DELETE FROM asset WHERE id IN (SELECT value FROM json_each(?)) RETURNING record"
    return [rows.read_asset(row["record"]) for row in db.execute(query, (named,)).fetchall()]


def _which(owner: str, sought: Sought) -> tuple[str, list[Any]]:
    """The beginning of a query for these pictures."""
    dated = sought.since is not None or sought.until is not None
    query = (
        f"{_SPAN if dated else ''}{_FOUND} FROM found CROSS JOIN picture ON picture.seq = found.rowid"
        " JOIN asset ON asset.id = picture.asset LEFT JOIN job ON job.seq = asset.job WHERE found MATCH ?"
    )
    values: list[Any] = [_matched(owner, sought)]
    if not dated:
        return query, values
    days = [end if told is None else told for told, end in zip((sought.since, sought.until), _ALWAYS, strict=True)]
    query += (
        " AND found.rowid BETWEEN (SELECT first FROM span) AND (SELECT last FROM span)"
        " AND picture.made >= ? AND picture.made < ?"
    )
    return query, [*days, *values, *days]


def _matched(owner: str, sought: Sought) -> str:
    """What the index of words is asked."""
    told = {"s": sought.source, "k": sought.kind}
    named = {"t": sought.template, "m": sought.model, "y": sought.style}
    facets = [f'"o{owner.encode(errors="replace").hex()}"']
    facets += [f'"{letter}{value}"' for letter, value in told.items() if value.isalpha()]
    facets += [f'"{letter}{value.encode(errors="replace").hex()}"' for letter, value in named.items() if value]
    facets += ["kept"] if sought.kept else []
    # A quote ends a phrase, and a NUL the whole query.
    plain = sought.text.replace('"', " ").replace("\0", " ")
    words = [searchable(word) for word in plain.split() if _WORD.search(word)][:_MOST_WORDS]
    text = "".join(f' AND text : "{word}" *' for word in words)
    return f"facets : ({' AND '.join(facets)}){text}"


def _read(row: sqlite3.Row) -> Found:
    return Found(
        asset=rows.read_asset(row["record"]),
        made=datetime.fromtimestamp(row["made"], UTC),
        job=row["job"],
        template=row["template"],
        prompt=str(row["prompt"] or ""),
        kept=bool(row["kept"]),
    )


def _absent() -> NotFound:
    return NotFound("There is no such picture.", hint="It may have been deleted. Look in the gallery.")
