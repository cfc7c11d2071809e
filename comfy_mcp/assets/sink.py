"""What a place for bytes must do, and which keys it takes.

Owns the interface that folder, memory and bucket keep alike (the same tests run on all). Used inside assets.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Protocol

from comfy_mcp.errors import NotFound

__all__ = ["CHUNK_BYTES", "Sink", "absent", "check_key"]

CHUNK_BYTES = 256 * 1024

_SEGMENT = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")
_LONGEST_SEGMENT = 255
_LONGEST_KEY = 1000


class Sink(Protocol):
    """Stores bytes under keys such as ``2026-11/cat-1234-3f2a9c0d11ee.png``.

    Every method may be called from many tasks, and from several processes on one folder or bucket. All raise
    StorageUnavailable when the place itself fails; NotFound also stands for a key that could not be one of ours.
    """

    async def put(self, key: str, data: bytes) -> None:
        """Store ``data``; when this returns, it survives a crash as well as the place can promise.

        A reader sees all of it or nothing. The key tells the content, so what is there already is left there.
        """
        ...

    async def get(self, key: str) -> bytes:
        """All the bytes. Raises NotFound."""
        ...

    def stream(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces; NotFound is raised at the first."""
        ...

    async def exists(self, key: str) -> bool: ...

    async def delete(self, key: str) -> None:
        """Remove it; nothing happens when it is not there."""
        ...

    async def check(self) -> None:
        """Prove that a file can be written now. Raises StorageUnavailable."""
        ...


def check_key(key: str) -> tuple[str, ...]:
    """The segments of a key. No empty, hidden, climbing or too long ones. Raises NotFound."""
    segments = tuple(key.split("/"))
    try:
        longest = max(len(segment.encode()) for segment in segments)
    except UnicodeEncodeError:
        raise absent() from None
    if longest > _LONGEST_SEGMENT or len(key) > _LONGEST_KEY or not all(map(_SEGMENT.fullmatch, segments)):
        raise absent()
    return segments


def absent() -> NotFound:
    """The answer to a key that nothing is stored under."""
    return NotFound("This file is not stored any more.", hint="Run the job again to make it once more.")
