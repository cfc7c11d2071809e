"""Where a picture is decoded: a small plain one in a thread, all others in a process that is killed when it must be.

Owns that choice, the process with its bounds on memory and time, and what its end means. `program` is what runs in it.
Used inside images.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE
from typing import IO, Any

import anyio
from anyio import to_thread

from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.images.damage import garbled
from comfy_mcp.images.structure import Structure
from comfy_mcp.images.threads import run_slow, slow_lane

__all__ = ["Made", "run_decoder"]

_THREAD_PIXELS = 4_200_000
"""Up to 2048 × 2048. A process takes 80 ms to start: a tenth or less of what a larger one takes to be kept."""
_PLAIN = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_SECONDS = 20
_LEAST_MEMORY, _PIXEL_MEMORY = 512 * 2**20, 16
"""Bytes, and bytes a pixel: of 33 megapixels with alpha Pillow takes half a gigabyte, and the program itself 120 MB."""
_PASSED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP")
_FAILURES = {failure.code: failure for failure in (InvalidImage, TooLarge)}


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes of the type ``mime``, or None when the picture may stay as it came; and its size in pixels."""

    data: bytes | None
    mime: str
    width: int = 0
    height: int = 0


async def run_decoder(
    task: str, data: bytes, structure: Structure, mime: str, arguments: Mapping[str, Any] | None = None
) -> Made:
    """Run the task of that name in `tasks` on a picture of this structure, whose size was checked.

    Raises:
        InvalidImage: it cannot be decoded.
        TooLarge: there is no memory or no time for it.
    """
    pixels, given = structure.width * structure.height, {"mime": mime, **(arguments or {})}
    if pixels <= _THREAD_PIXELS and structure.frames == 1 and mime in _PLAIN:
        return await run_slow(lambda: _here(task, data, given), pixels=pixels)
    async with slow_lane(pixels):
        return await _elsewhere({"task": task, "given": given, "memory": _memory(pixels), "seconds": _SECONDS}, data)


def _here(task: str, data: bytes, given: Mapping[str, Any]) -> Made:
    # Late, as it brings Pillow.
    from comfy_mcp.images.tasks import TASKS

    return TASKS[task](data, **given)


def _memory(pixels: int) -> int:
    return _LEAST_MEMORY + _PIXEL_MEMORY * pixels


async def _elsewhere(asked: Mapping[str, Any], data: bytes) -> Made:
    # Into a file, as joining what comes through a pipe would take twice its memory.
    with tempfile.TemporaryFile() as told:
        try:
            with anyio.fail_after(_SECONDS):
                status = await _ran(json.dumps(asked).encode() + b"\n", data, told)
        except TimeoutError:
            raise TooLarge("The picture takes too long to decode.", hint="Use a smaller one.") from None
        if status != 0:
            raise garbled("it cannot be decoded")
        return await to_thread.run_sync(_read, told)


async def _ran(asked: bytes, data: bytes, told: IO[bytes]) -> int:
    """How the program ended. It gets none of our secrets, and does not outlive who waits for it."""
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    # Each arena takes 64 MB of addresses, and those are what the limit on memory counts.
    environment["MALLOC_ARENA_MAX"] = "1"
    command = [sys.executable, "-P", "-m", "comfy_mcp.images.program"]
    async with await anyio.open_process(command, stdin=PIPE, stdout=told, stderr=DEVNULL, env=environment) as process:
        assert process.stdin is not None
        try:
            await process.stdin.send(asked)
            await process.stdin.send(data)
            await process.stdin.aclose()
        except (anyio.BrokenResourceError, OSError):
            # It died before it had read all; how, its status tells.
            pass
        return await process.wait()


def _read(told: IO[bytes]) -> Made:
    told.seek(0)
    head = json.loads(told.readline())
    if "failed" in head:
        failure = head["failed"]
        raise _FAILURES[failure["code"]](failure["message"], hint=failure["hint"], **failure["details"])
    data = None if head["kept"] else told.read()
    return Made(data, head["mime"], head["width"], head["height"])
