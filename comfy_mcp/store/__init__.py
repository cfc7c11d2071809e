"""Where jobs live: the interface every store keeps, and the SQLite one.

A store alone moves a job between states. It knows nothing of ComfyUI, templates or bytes of pictures. Used by
workbench and dispatch.
"""

from comfy_mcp.store.interface import (
    Choose,
    Idempotency,
    JobStore,
    Line,
    Mode,
    NewJob,
    Outcome,
    Queue,
    QueueLimits,
    Record,
    Start,
)
from comfy_mcp.store.sqlite import SqliteStore

__all__ = [
    "Choose",
    "Idempotency",
    "JobStore",
    "Line",
    "Mode",
    "NewJob",
    "Outcome",
    "Queue",
    "QueueLimits",
    "Record",
    "SqliteStore",
    "Start",
]
