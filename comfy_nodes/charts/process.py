"""The program of the charts as a process: asked on stdin, killed when it takes too long or nobody waits for it.

Owns that process; what it is asked and what it tells is the business of `charts` and `reading`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["ran"]

_MOST_LOGGED = 65_536


async def ran(asked: bytes, most: int, deadline: float) -> tuple[int, bytes, bytes]:
    """How the program ended, the first ``most`` bytes that it told, and what it logged.

    Raises: TimeoutError after ``deadline`` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(Path(__file__).with_name("program.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        async with asyncio.timeout(deadline):
            told, logged, _ = await asyncio.gather(
                _heard(process.stdout, most),
                _heard(process.stderr, _MOST_LOGGED),
                _give(process.stdin, asked),
            )
            return await process.wait(), told, logged
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _give(stream: asyncio.StreamWriter, text: bytes) -> None:
    with suppress(ConnectionError):
        stream.write(text)
        await stream.drain()
    stream.close()


async def _heard(stream: asyncio.StreamReader, most: int) -> bytes:
    """The beginning; the rest is read and dropped, since who writes would wait for it."""
    kept = bytearray()
    while piece := await stream.read(65_536):
        kept += piece[: most - len(kept)]
    return bytes(kept)
