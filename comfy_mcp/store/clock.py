"""The clock of leases, waits and expiry: it goes on in every process alike, and nobody can set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Clock", "boot", "uptime"]

Clock = Callable[[], float]


def uptime() -> float:
    """Seconds since this machine started, sleep included, the same in all its processes.

    Wall-clock time can jump by hours and would end every lease at once. A restart of the machine sets this one back;
    then a reading from before lies in the future, and whoever compares treats it as over.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def boot() -> str:
    """What this run of the machine is called, "" where it has no name: readings of another one mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
