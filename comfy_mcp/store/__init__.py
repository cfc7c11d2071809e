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
from comfy_mcp.store.lineup import Lineup, Spot, Standing
from comfy_mcp.store.picture_values import Dropped, Facets, Found, Pictures, Sought, Usage
from comfy_mcp.store.sqlite import SqliteStore

__all__ = [
    "Choose",
    "Dropped",
    "Facets",
    "Found",
    "Idempotency",
    "JobStore",
    "Line",
    "Lineup",
    "Mode",
    "NewJob",
    "Outcome",
    "Pictures",
    "Queue",
    "QueueLimits",
    "Record",
    "Sought",
    "Spot",
    "SqliteStore",
    "Standing",
    "Start",
    "Usage",
]
