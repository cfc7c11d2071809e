"""Thumbnails of pictures: made when somebody looks, and the latest kept in memory.

Owns how many bytes of them are kept, and that each is made once however many ask. Used by the gallery.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import anyio

from comfy_mcp import images
from comfy_mcp.jobs import Asset

__all__ = ["Thumbnails"]

_SIDE = 384
_MOST_BYTES = 32 * 2**20
_AT_ONCE = 2
"""More would only hold more whole pictures in memory: as many are decoded at a time."""


class Thumbnails:
    """``read`` gives the bytes of a picture."""

    def __init__(self, read: Callable[[Asset], Awaitable[bytes]]) -> None:
        self._read = read
        self._kept = OrderedDict[str, bytes]()
        self._bytes = 0
        self._making = dict[str, anyio.Event]()
        self._turns = anyio.CapacityLimiter(_AT_ONCE)

    async def of(self, asset: Asset) -> bytes:
        """A small WebP. Raises InvalidImage and TooLarge for what is no picture that can be read, and NotFound."""
        while asset.sha256 not in self._kept:
            if (making := self._making.get(asset.sha256)) is not None:
                await making.wait()
                continue
            made = self._making[asset.sha256] = anyio.Event()
            try:
                async with self._turns:
                    self._keep(asset.sha256, await images.thumbnail(await self._read(asset), _SIDE))
            finally:
                del self._making[asset.sha256]
                made.set()
        self._kept.move_to_end(asset.sha256)
        return self._kept[asset.sha256]

    def forget(self, asset: Asset) -> None:
        """Nothing shall be left of it."""
        self._bytes -= len(self._kept.pop(asset.sha256, b""))

    def _keep(self, name: str, data: bytes) -> None:
        self._kept[name] = data
        self._bytes += len(data)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
