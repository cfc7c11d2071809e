"""Several files as one ZIP, written while it is sent: one file of them in memory at a time, none on the disk."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

from anyio import to_thread

from comfy_mcp.errors import WorkbenchError

__all__ = ["archived"]

log = logging.getLogger(__name__)

Load = Callable[[], Awaitable[tuple[str, bytes]]]
"""Gives a file, and what it is called."""

_PIECE = 256 * 1024


class _Sent(io.RawIOBase):
    """What was written and not taken yet; it cannot go back, so sizes are told after each file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


async def archived(files: Iterable[tuple[str, Load]]) -> AsyncGenerator[bytes]:
    """The ZIP in pieces. A file that cannot be read any more is named in a text inside it; equal names get numbers."""
    sent, taken, missing = _Sent(), set[str](), list[str]()
    archive = zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED)
    for name, load in files:
        try:
            called, data = await load()
        except WorkbenchError as failure:
            log.warning("A file is left out of an archive: %s", failure)
            missing.append(f"{name}: {failure}")
            continue
        await to_thread.run_sync(archive.writestr, _unlike(called, taken), data)
        told = sent.take()
        for at in range(0, len(told), _PIECE):
            yield told[at : at + _PIECE]
    if missing:
        archive.writestr("missing.txt", "\n".join(missing))
    archive.close()
    yield sent.take()


def _unlike(name: str, taken: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    unlike, number = name, 1
    while unlike.lower() in taken:
        number += 1
        unlike = f"{stem}-{number}{dot}{suffix}" if dot else f"{name}-{number}"
    taken.add(unlike.lower())
    return unlike
