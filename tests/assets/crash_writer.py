"""Kills writers of a folder again and again; run by test_folder as a process of its own.

Forks, so it must stay without threads. Prints how many writers were killed in the middle of a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from comfy_mcp.assets import FolderSink

_SIZE = 6_000_000


def write_forever(root: Path, started: int, seed: int) -> None:
    """Stores file after file, each named by its hash, and tells about each."""

    async def write() -> None:
        sink = FolderSink(root, durable=False)
        data = random.Random(seed).randbytes(16) * (_SIZE // 16)
        digest = hashlib.sha256(data).hexdigest()
        for number in itertools.count():
            await sink.put(f"2026-11/{number}-{digest}.png", data)
            os.write(started, b"x")

    asyncio.run(write())


def kill_one(root: Path, seed: int) -> None:
    ours, theirs = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write_forever(root, theirs, seed)
        finally:
            os._exit(1)
    ready, _, _ = select.select([ours], [], [], 20)
    assert ready, "the writer did not start"
    # The moment of the kill is what is drawn by lot here.
    time.sleep(random.Random(seed).uniform(0, 0.02))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    os.close(ours)
    os.close(theirs)


def torn(root: Path) -> list[str]:
    """The visible files whose content is not what their name says; empties the folder."""
    bad: list[str] = []
    for path in (root / "2026-11").glob("[!.]*"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem.partition("-")[2]:
            bad.append(path.name)
        path.unlink()
    return bad


def main(root: Path, kills: int) -> None:
    for seed in range(kills):
        kill_one(root, seed)
        if bad := torn(root):
            raise SystemExit(f"torn files after kill {seed}: {bad}")
    sys.stdout.write(str(len(list(root.glob("*/.unfinished-*")))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
