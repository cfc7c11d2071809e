"""The processes that the tests have started, for tests that demand that none of theirs is left."""

from __future__ import annotations

import threading
from pathlib import Path

__all__ = ["children"]


def children() -> set[str]:
    """The ids of those that this process started and that run still: also what the fixtures of a session are."""
    thread = threading.main_thread().native_id
    return set((Path("/proc/self/task") / str(thread) / "children").read_text().split())
