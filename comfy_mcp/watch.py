"""The notice board: who waits for a job hears of its progress and its end at once, inside one process.

Owns nothing durable; the store is the truth, and a waiter reads it again after every notice. Used by dispatch
(posts) and workbench (waits).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

import anyio

from comfy_mcp.jobs import Progress

__all__ = ["Board", "Watcher"]

_WORK = ""


class Watcher:
    """One waiter's place at the board."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def notify(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for the next notice, at most ``seconds``; True when there was one. Notices do not pile up."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        noticed = self._event.is_set()
        self._event = anyio.Event()
        return noticed


class Board:
    """Notices by job id, and the one notice "there may be work" for the dispatcher."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = defaultdict(set)
        self._progress: dict[str, Progress] = {}

    def post_progress(self, job: str, progress: Progress) -> None:
        self._progress[job] = progress
        self.post(job)

    def post(self, job: str) -> None:
        """Tell who watches ``job`` to look at it again."""
        for watcher in self._watchers.get(job, ()):
            watcher.notify()

    def post_work(self) -> None:
        """Tell the dispatcher that a job was queued or a cancel was asked for."""
        self.post(_WORK)

    def progress(self, job: str) -> Progress | None:
        """The newest progress seen in this process, preview included."""
        return self._progress.get(job)

    def forget(self, job: str) -> None:
        """Drop the progress of a job that ended, and tell its watchers."""
        self._progress.pop(job, None)
        self.post(job)

    @contextmanager
    def watching(self, job: str) -> Generator[Watcher]:
        watcher = Watcher()
        self._watchers[job].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[job].discard(watcher)
            if not self._watchers[job]:
                del self._watchers[job]

    @contextmanager
    def watching_work(self) -> Generator[Watcher]:
        with self.watching(_WORK) as watcher:
            yield watcher
