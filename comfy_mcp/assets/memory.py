"""Bytes in this process only, for those who want nothing on disk.

Owns expiry and the bound on memory: what was not used for longest goes first. Used by workbench through the interface
in sink.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from comfy_mcp.assets.sink import CHUNK_BYTES, absent, check_key
from comfy_mcp.errors import NotFound, StorageUnavailable

__all__ = ["MemorySink"]


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    expires: float


class MemorySink:
    """Holds at most ``max_bytes``, each file for ``ttl_seconds`` after it was last put. ``clock`` is monotonic."""

    def __init__(
        self,
        *,
        max_bytes: int = 512 * 2**20,
        ttl_seconds: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        if len(data) > self._max_bytes:
            raise StorageUnavailable(
                f"The file is larger than the {self._max_bytes // 2**20} MB of memory for pictures.",
                hint="Keep pictures in a folder: set `assets` to `folder`.",
            )
        self._drop_expired()
        self._drop(key)
        while self._bytes + len(data) > self._max_bytes:
            self._drop(next(iter(self._kept)))
        self._kept[key] = _Kept(data, self._clock() + self._ttl)
        self._bytes += len(data)

    async def get(self, key: str) -> bytes:
        check_key(key)
        kept = self._kept.get(key)
        if kept is None or kept.expires <= self._clock():
            self._drop(key)
            raise absent()
        self._kept.move_to_end(key)
        return kept.data

    async def stream(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        data = await self.get(key)
        end = len(data) if stop is None else min(stop, len(data))
        for at in range(start, end, CHUNK_BYTES):
            yield data[at : min(at + CHUNK_BYTES, end)]

    async def exists(self, key: str) -> bool:
        try:
            await self.get(key)
        except NotFound:
            return False
        return True

    async def delete(self, key: str) -> None:
        self._drop(key)

    async def check(self) -> None:
        self._drop_expired()

    def _drop_expired(self) -> None:
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if kept.expires <= now]:
            self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.data)
