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
from contextlib import suppress
from functools import partial
from subprocess import DEVNULL
from typing import IO, Any

import anyio
from anyio import to_thread

from comfy_mcp.errors import InvalidImage, StorageUnavailable, TooLarge
from comfy_mcp.images.damage import garbled
from comfy_mcp.images.made import Made
from comfy_mcp.images.structure import Structure
from comfy_mcp.images.threads import quick_lane, run_slow, slow_lane

__all__ = ["measure_elsewhere", "run_decoder"]

_THREAD_PIXELS = 4_200_000
"""Up to 2048 × 2048. A process takes 80 ms to start: a tenth or less of what a larger one takes to be kept.

A thread can neither be killed nor kept from memory: that the picture is small bounds both. Of so many pixels each copy
takes 17 MB, of which there are five at most, and the slowest file to decode, a JPEG of 100 scans, one second.
"""
_PLAIN = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_SECONDS = 20
_LEAST_MEMORY, _PIXEL_MEMORY = 512 * 2**20, 16
"""Bytes of addresses, and bytes a pixel: the most that any decoder takes of them, and the program itself."""
_NICE = 10
"""Who makes small requests meanwhile goes first. Not more: beside a model on all cores it would never end."""
_PASSED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP")
_FAILURES = {failure.code: failure for failure in (InvalidImage, TooLarge)}


async def run_decoder(task: str, data: bytes, structure: Structure, mime: str, given: Mapping[str, Any]) -> Made:
    """Run the task of that name in `tasks` on a picture of this structure, whose size was checked.

    Raises:
        InvalidImage: it cannot be decoded.
        TooLarge: there is no memory or no time for it.
        StorageUnavailable: the disk has no room for what goes to the process and back.
    """
    pixels = structure.width * structure.height
    if pixels <= _THREAD_PIXELS and structure.frames == 1 and mime in _PLAIN:
        return await run_slow(lambda: _here(task, data, {"mime": mime, **given}), pixels=pixels)
    async with slow_lane(pixels):
        return await _elsewhere(task, data, {"mime": mime, **given}, _memory(pixels))


async def measure_elsewhere(data: bytes, mime: str) -> Made:
    """Size and frames of a picture as its decoder reads them, without any pixel. Raises as `run_decoder`."""
    async with quick_lane():
        return await _elsewhere("measure", data, {"mime": mime}, _LEAST_MEMORY)


def _here(task: str, data: bytes, given: Mapping[str, Any]) -> Made:
    # Late, as it brings Pillow.
    from comfy_mcp.images.tasks import TASKS

    return TASKS[task](data, **given)


def _memory(pixels: int) -> int:
    return _LEAST_MEMORY + _PIXEL_MEMORY * pixels


async def _elsewhere(task: str, data: bytes, given: Mapping[str, Any], memory: int) -> Made:
    head = json.dumps({"task": task, "given": given, "memory": memory, "seconds": _SECONDS}).encode() + b"\n"
    try:
        # Through files: a pipe would keep the event loop at work, and hold what goes through it once more.
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as told:
            await to_thread.run_sync(partial(_write, asked, head, data))
            with anyio.fail_after(_SECONDS):
                status = await _ran(asked, told)
            if status != 0:
                raise garbled("it cannot be decoded")
            return await to_thread.run_sync(partial(_read, told, data))
    except TimeoutError:
        raise TooLarge("The picture takes too long to decode.", hint="Use a smaller one.") from None
    except OSError as failure:
        raise StorageUnavailable("No picture can be decoded now.", hint="Make room on the disk, or wait.") from failure


def _write(asked: IO[bytes], head: bytes, data: bytes) -> None:
    asked.write(head)
    asked.write(data)
    asked.seek(0)


async def _ran(asked: IO[bytes], told: IO[bytes]) -> int:
    """How the program ended. It gets none of our secrets, and does not outlive who waits for it."""
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    # Each arena takes 64 MB of addresses, and those are what the limit on memory counts.
    environment["MALLOC_ARENA_MAX"] = "1"
    command = [sys.executable, "-P", "-m", "comfy_mcp.images.program"]
    process = await anyio.open_process(command, stdin=asked, stdout=told, stderr=DEVNULL, env=environment)
    async with process:
        if sys.platform != "win32":
            # From outside, so that also its start, half of its work, is done beside others and not before them.
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        return await process.wait()


def _read(told: IO[bytes], data: bytes) -> Made:
    told.seek(0)
    head = json.loads(told.readline())
    if "failed" in head:
        failure = head["failed"]
        raise _FAILURES[failure["code"]](failure["message"], hint=failure["hint"], **failure["details"])
    made = data if head.pop("kept") else told.read()
    return Made(made, **head)
