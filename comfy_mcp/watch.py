"""The notice board: who waits for a job hears of its progress and its end at once, inside one process.

Owns nothing durable; the store is the truth, and a waiter reads it again after every notice. Used by dispatch
(posts) and workbench (waits).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from comfy_mcp.jobs import Progress

__all__ = ["Board", "Notice", "Watcher"]

MOST = 512
_WORK = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """``progress`` since the last wait, and whether the job ``changed`` in the store. Neither: time ran out."""

    progress: tuple[Progress, ...]
    changed: bool


class Watcher:
    """One waiter's place at the board. Progress is kept in order, at most ``MOST``; other notices do not pile up."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._progress: deque[Progress] = deque(maxlen=MOST)
        self._changed = False

    def notify(self, progress: Progress | None = None) -> None:
        if progress is None:
            self._changed = True
        else:
            self._progress.append(progress)
        self._event.set()

    def wake(self) -> None:
        """End the wait, although nothing changed."""
        self._event.set()

    @property
    def changed(self) -> bool:
        """Whether the next wait will tell of a change."""
        return self._changed

    @property
    def oldest(self) -> Progress | None:
        """The first progress that the next wait will give."""
        return self._progress[0] if self._progress else None

    async def wait(self, seconds: float) -> Notice:
        """Everything since the last wait, as soon as there is something; nothing after ``seconds``."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        changed, self._event, self._changed = self._changed, anyio.Event(), False
        return Notice(self.taken(), changed)

    def taken(self) -> tuple[Progress, ...]:
        """The progress that the next wait would give, which it then does not."""
        taken = tuple(self._progress)
        self._progress.clear()
        return taken


class Board:
    """Notices by job id, and the one notice "there may be work" for the dispatcher."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = defaultdict(set)
        self._progress: dict[str, Progress] = {}

    def post_progress(self, job: str, progress: Progress) -> None:
        self._progress[job] = progress
        for watcher in self._watchers.get(job, ()):
            watcher.notify(progress)

    def post(self, job: str) -> None:
        """Tell who watches ``job`` to look at it again."""
        for watcher in self._watchers.get(job, ()):
            watcher.notify()

    def post_work(self) -> None:
        """Tell the dispatcher that a job was queued or a cancel was asked for."""
        self.post(_WORK)

    def post_guest(self) -> None:
        """Tell the dispatcher to look who waits: nothing changed in the store."""
        for watcher in self._watchers.get(_WORK, ()):
            watcher.wake()

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
