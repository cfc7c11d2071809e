"""Fills a small disk, then makes it read-only; run by test_folder inside a mount namespace of its own.

Prints one word for each thing that went as it should.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from comfy_mcp.assets import FolderSink
from comfy_mcp.errors import StorageUnavailable

_FILE = 300_000


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")


async def main(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
    sink = FolderSink(disk / "assets")
    stored: dict[str, bytes] = {}
    try:
        for number in range(100):
            data = os.urandom(_FILE)
            await sink.put(f"2026-11/{number}.png", data)
            stored[f"2026-11/{number}.png"] = data
    except StorageUnavailable as failure:
        say("full" if "free some space" in failure.hint else failure)
    say("kept" if stored and all([await sink.get(key) == data for key, data in stored.items()]) else "lost")
    say("clean" if len(list((disk / "assets/2026-11").iterdir())) == len(stored) else "litter")
    try:
        await sink.check()
    except StorageUnavailable:
        say("warned")
    for key in stored:
        await sink.delete(key)
    await sink.put("2026-11/again.png", b"picture")
    say("recovered")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for work in (sink.put("2026-11/no.png", b"picture"), sink.check()):
        try:
            await work
        except StorageUnavailable as failure:
            say("read-only" if "read-only" in failure.hint else failure)
    say("readable" if await sink.get("2026-11/again.png") == b"picture" else "unreadable")


asyncio.run(main(Path(sys.argv[1])))
