"""A comparison as it is kept beside its results: whose it is, what is to be done, and how far it is.

Owns two files of the folder: `state.json`, which the process that drives it writes, and `cancelled`, which anybody may
add. `llm_bridge.compare.Folder` owns the others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from comfy_mcp.errors import StorageUnavailable
from llm_bridge.compare import Judge

__all__ = ["Plan", "PlanState", "Plans"]

_STATE = "state.json"
_CANCELLED = "cancelled"


class PlanState(StrEnum):
    RUNNING = "running"
    """Cells or judgements are left; the process that dispatches makes them."""
    JUDGING = "judging"
    """All cells have ended, and the judge is at it."""
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """It cannot go on; ``told`` says why."""

    @property
    def ended(self) -> bool:
        return self not in (PlanState.RUNNING, PlanState.JUDGING)


@dataclass(frozen=True, slots=True)
class Plan:
    """``cells`` in all, ``done`` of them have ended and ``failed`` have no answer. ``fresh`` takes no kept answer."""

    id: str
    owner: str
    created: datetime
    models: tuple[str, ...]
    cells: int
    checks: tuple[str, ...] = ()
    judge: Judge | None = None
    fresh: bool = False
    state: PlanState = PlanState.RUNNING
    done: int = 0
    failed: int = 0
    told: str = ""
    notes: tuple[str, ...] = ()


_PLAN = TypeAdapter(Plan)


class Plans:
    """All plans under one folder, each in one of its own that is named by its id. Its methods block on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, plan: str) -> Path:
        return self._root / plan

    def read(self, plan: str) -> Plan | None:
        """The plan of this id. None when there is none that can be read."""
        if not plan.isalnum():
            return None
        folder = self.folder(plan)
        try:
            found = _PLAN.validate_json((folder / _STATE).read_bytes())
        except (OSError, ValidationError):
            return None
        stopped = not found.state.ended and (folder / _CANCELLED).exists()
        return replace(found, state=PlanState.CANCELLED) if stopped else found

    def names(self) -> set[str]:
        """The ids that there are folders of."""
        try:
            return {path.name for path in self._root.iterdir()}
        except FileNotFoundError:
            return set()

    def all(self, but: Collection[str] = ()) -> Sequence[Plan]:
        """The newest first, without those of the ids ``but``, which are not even read."""
        names = self.names() - set(but)
        plans = [plan for name in names if (plan := self.read(name)) is not None]
        return sorted(plans, key=lambda plan: plan.created, reverse=True)

    def keep(self, plan: Plan) -> None:
        """Whole or not at all, in the place of an earlier one, in a folder that is there: one that was deleted does
        not come back. Raises StorageUnavailable."""
        target = self.folder(plan.id) / _STATE
        draft = target.with_name(f"{_STATE}.{uuid4().hex}")
        try:
            with draft.open("wb") as file:
                file.write(pydantic_core.to_json(plan))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as failure:
            reason = failure.strerror or "the disk refuses"
            raise StorageUnavailable(
                f"The comparison cannot be kept: {reason}.", hint="Make room, then ask again."
            ) from None

    def cancel(self, plan: str) -> None:
        """Whoever drives it is to stop. Raises StorageUnavailable."""
        try:
            (self.folder(plan) / _CANCELLED).touch()
        except OSError as failure:
            raise StorageUnavailable(
                f"The cancel cannot be kept: {failure.strerror}.", hint="Make room, then ask again."
            ) from None

    def delete(self, plan: str) -> None:
        """Its folder is gone from here in one step, then from the disk. Raises StorageUnavailable."""
        folder = self.folder(plan)
        # No id has a dot: nobody reads it any more, even if it stays because this process dies.
        gone = folder.with_name(f"{plan}.gone")
        try:
            folder.replace(gone)
        except OSError as failure:
            raise StorageUnavailable(
                f"The comparison cannot be deleted: {failure.strerror}.", hint="Look at the disk, then try again."
            ) from None
        shutil.rmtree(gone, ignore_errors=True)
