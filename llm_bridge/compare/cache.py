"""Answers of earlier runs, by the key of their cell: what was asked in the same way is not asked again.

Owns a folder of its own, which runs at the same time may share. It is a convenience: an answer that it cannot read or
keep is asked again, and no run fails for it. For `run`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from llm_bridge.chat import Reply
from llm_bridge.compare.disk import replace_file, to_the_end
from llm_bridge.compare.records import reply_of, reply_record

__all__ = ["Cache"]


class Cache:
    """``most_bytes`` bounds the folder: when it is passed, the answers that were used longest ago go."""

    def __init__(self, path: Path, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._bytes: int | None = None
        self._lock = asyncio.Lock()

    async def get(self, key: str) -> Reply | None:
        return await asyncio.to_thread(self._get, key)

    async def get_all(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Those that are there, by key."""
        found = await asyncio.to_thread(lambda: [(key, self._get(key)) for key in keys])
        return {key: reply for key, reply in found if reply is not None}

    async def put(self, key: str, reply: Reply) -> None:
        await to_the_end(self._put_in_turn(key, reply))

    async def _put_in_turn(self, key: str, reply: Reply) -> None:
        async with self._lock:
            with suppress(OSError):
                await asyncio.to_thread(self._put, key, reply)

    def _file(self, key: str) -> Path:
        return self._path / key[:2] / f"{key}.json"

    def _get(self, key: str) -> Reply | None:
        file = self._file(key)
        try:
            reply = reply_of(json.loads(file.read_bytes()))
            os.utime(file)
        except (OSError, KeyError, TypeError, ValueError):
            return None
        return reply

    def _put(self, key: str, reply: Reply) -> None:
        content = json.dumps(reply_record(reply)).encode()
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, content)
        if self._bytes is not None:
            self._bytes += len(content)
        if self._bytes is None or self._bytes > self._most_bytes:
            self._bytes = self._make_room()

    def _make_room(self) -> int:
        """Down to nine tenths when the bound is passed, so that not every answer has to; gives the size then."""
        known: list[tuple[float, int, Path]] = []
        for file in self._path.glob("*/*"):
            with suppress(FileNotFoundError):
                stat = file.stat()
                known.append((stat.st_mtime, stat.st_size, file))
        size = sum(bytes for _, bytes, _ in known)
        if size <= self._most_bytes:
            return size
        for _, bytes, file in sorted(known):
            if size <= self._most_bytes * 0.9:
                break
            file.unlink(missing_ok=True)
            size -= bytes
        return size
