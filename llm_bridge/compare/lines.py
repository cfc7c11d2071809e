"""A file of JSON lines that only grows, and outlives a crash in the middle of a line.

Knows nothing of what the records mean (`records`); for `folder`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Lines", "to_the_end"]

Outcome = TypeVar("Outcome")


async def to_the_end(work: Awaitable[Outcome]) -> Outcome:
    """Waits for ``work`` even when cancelled meanwhile: a file half written helps nobody."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class Lines:
    """One writer at a time. What `append` returned from is on the disk; many at once share one write.

    A last line without its end is what a crash left; it is not read, and cut off before the next is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._pending: list[bytes] = []
        self._mended = False

    def read(self) -> tuple[list[Any], int]:
        """The records, and how many whole lines are no JSON. Blocks. Raises: OSError."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return [], 0
        records: list[Any] = []
        for line in lines:
            with suppress(ValueError, RecursionError):
                records.append(json.loads(line))
        return records, len(lines) - len(records)

    async def append(self, record: Any) -> None:
        """Raises: OSError."""
        self._pending.append(json.dumps(record).encode() + b"\n")
        await to_the_end(self._flush())

    async def _flush(self) -> None:
        async with self._lock:
            lines, self._pending = self._pending, []
            if not lines:
                return
            try:
                await asyncio.to_thread(self._write, b"".join(lines))
            except OSError:
                # They belong to others too, who wait for the lock: each tries again and learns it for itself.
                self._pending = lines + self._pending
                raise

    def _write(self, lines: bytes) -> None:
        with self._path.open("ab") as file:
            if not self._mended:
                file.truncate(_whole(self._path.read_bytes()))
            self._mended = False
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            self._mended = True


def _whole(content: bytes) -> int:
    """How many bytes end with a whole line."""
    return content.rfind(b"\n") + 1
