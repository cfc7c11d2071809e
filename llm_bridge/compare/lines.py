"""A file of JSON lines that only grows, and outlives a crash in the middle of a line.

Knows nothing of what the records mean (`records`); for `folder`.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from llm_bridge.compare.disk import lock, to_the_end

__all__ = ["Lines"]


class Lines:
    """What `append` returned from is on the disk; many at once share one write, and other processes may write too.

    A last line without its end is what a crash left; it is not read, and cut off before the next is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._pending: list[bytes] = []

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
        with self._path.open("a+b") as file:
            # Else a line that another is about to end would be taken for what a crash left.
            lock(file, wait=True)
            _mend(file)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def _mend(file: BinaryIO) -> None:
    """Cuts off a last line without its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    if file.read(1) not in (b"\n", b""):
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
