"""How files are written here: whole or not at all, to the end once begun, and by one at a time where that matters.

Knows nothing of what is in them; for `folder`, `lines`, `cache` and `reports`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

__all__ = ["lock", "replace_file", "to_the_end"]

Outcome = TypeVar("Outcome")


async def to_the_end(work: Awaitable[Outcome]) -> Outcome:
    """Waits for ``work`` even when cancelled meanwhile: a file half written helps nobody."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            # A cancel scope of anyio cancels again and again.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def replace_file(path: Path, content: bytes) -> None:
    """So that whoever reads meanwhile, and a crash, find the old or the new, never half of it. Raises: OSError."""
    # A name of its own: another process may write the same file.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading what is locked, so that is a byte where nothing is.
    _BEYOND = 2**31 - 16

    def lock(file: BinaryIO, *, wait: bool) -> None:
        file.seek(_BEYOND)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None

else:
    import fcntl

    def lock(file: BinaryIO, *, wait: bool) -> None:
        """Holds the file until it is closed or the process ends, against this process too.

        Raises: BlockingIOError when another holds it and ``wait`` is False.
        """
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
