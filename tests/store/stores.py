"""The stores under test, and jobs for them. A second store joins by adding itself to `STORES`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from comfy_mcp.jobs import Asset, BoundWorkflow, Upload
from comfy_mcp.store import JobStore, NewJob, Queue, QueueLimits, SqliteStore, Start
from comfy_mcp.store.clock import Clock, uptime

__all__ = ["LIMITS", "STORES", "Opener", "Ticker", "first", "new_job", "picture"]

LIMITS = QueueLimits(jobs=5, per_owner=5, lease=15.0)


class Opener(Protocol):
    def __call__(
        self, folder: Path, *, limits: QueueLimits = LIMITS, clock: Clock = uptime, machine: str = "this"
    ) -> AbstractAsyncContextManager[JobStore]: ...


def _sqlite(
    folder: Path, *, limits: QueueLimits = LIMITS, clock: Clock = uptime, machine: str = "this"
) -> AbstractAsyncContextManager[JobStore]:
    return SqliteStore.open(folder / "jobs.sqlite3", limits=limits, clock=clock, machine=machine)


STORES: list[Opener] = [_sqlite]


class Ticker:
    """A clock that goes on when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def new_job(
    owner: str = "ann",
    template: str = "txt2img",
    seed: int = 2**64 - 1,
    *,
    priority: int = 0,
    model: str = "",
    needs: frozenset[str] = frozenset(),
    expires_in: float | None = None,
) -> NewJob:
    bound = BoundWorkflow(
        graph={"3": {"class_type": "KSampler", "inputs": {"seed": seed, "model": ["4", 0]}}},
        values={"seed": seed, "prompt": "Meer, 海, 🌊", "cfg": 6.5},
        uploads=(Upload("asset", (("7", "image"),)),),
        parameters={"3.seed": "seed"},
    )
    warnings = ("width was rounded to 512",)
    return NewJob(owner, template, "anime", bound, warnings, priority, model, needs, expires_in)


def picture(name: str = "a" * 22) -> Asset:
    return Asset(
        id=name, key=f"ab/{name}.png", sha256="0" * 64, mime="image/png", size=7, name="x.png", width=8, height=8
    )


def first(queue: Queue) -> Start | None:
    """First come, first served, on one card."""
    oldest = min(queue.lanes, key=lambda lane: lane.oldest)
    batch = queue.batches.get("gpu0")
    return Start(oldest.id, "comfyui", "gpu0", begins=batch is None or batch.model != oldest.model)
