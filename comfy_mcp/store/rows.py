"""Rows to plain types and back; the only place that knows how a job is spelled in the database."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import pydantic_core
from pydantic import TypeAdapter

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import Asset, BoundWorkflow, Job, JobState, Output, Progress

__all__ = ["dump", "dump_progress", "read_asset", "read_job"]

_BOUND = TypeAdapter(BoundWorkflow)
_OUTPUTS = TypeAdapter(tuple[Output, ...])
_WARNINGS = TypeAdapter(tuple[str, ...])
_ERROR = TypeAdapter(ErrorRecord)
_PROGRESS = TypeAdapter(Progress)
_ASSET = TypeAdapter(Asset)


def dump(value: Any) -> str:
    """JSON of a plain type. Integers stay integers: a seed of 2**64-1 comes back as it was.

    A character that no encoding has (half of a pair, as text models and file names can have) becomes "?".
    """
    try:
        return pydantic_core.to_json(value).decode()
    except pydantic_core.PydanticSerializationError:
        return pydantic_core.to_json(_encodable(value)).decode()


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            told = cast(dict[Any, Any], value)
            return {_encodable(key): _encodable(item) for key, item in told.items()}
        case list() | tuple() | frozenset():
            return [_encodable(item) for item in cast(list[Any], value)]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _encodable(asdict(value))
        case _:
            return value


def dump_progress(progress: Progress) -> str:
    return dump(asdict(replace(progress, preview=None)))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def read_asset(record: str) -> Asset:
    return _ASSET.validate_json(record)


def read_job(row: sqlite3.Row, assets: tuple[Asset, ...]) -> Job:
    return Job(
        id=row["id"],
        owner=row["owner"],
        template=row["template"],
        style=row["style"],
        bound=_BOUND.validate_json(row["bound"]),
        state=JobState(row["state"]),
        created=datetime.fromtimestamp(row["created"], UTC),
        attempt=row["attempt"],
        attempts=row["attempts"],
        started=_moment(row["started"]),
        finished=_moment(row["finished"]),
        progress=_PROGRESS.validate_json(row["progress"]) if row["progress"] else Progress(),
        assets=assets,
        outputs=_OUTPUTS.validate_json(row["outputs"]),
        error=_ERROR.validate_json(row["error"]) if row["error"] else None,
        warnings=_WARNINGS.validate_json(row["warnings"]),
        priority=row["priority"],
        model=row["model"],
        backend=row["backend"],
        token=row["token"],
        takeovers=row["takeovers"],
    )
