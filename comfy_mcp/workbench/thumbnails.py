"""Thumbnails of pictures: made when somebody looks, and the latest kept in memory.

Owns how many bytes of them are kept, and that each is made once however many ask. Used by the gallery.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from comfy_mcp import images
from comfy_mcp.errors import InvalidImage, WorkbenchError
from comfy_mcp.jobs import Asset

__all__ = ["Thumbnails"]

_SIDE = 384
_MOST_BYTES = 32 * 2**20
_AT_ONCE = 2
"""More would only hold more whole pictures in memory: as many are decoded at a time."""


@dataclass(slots=True)
class _Making:
    """One that is being made, for all who wait for it."""

    ended: anyio.Event = field(default_factory=anyio.Event)
    failure: WorkbenchError | None = None


class Thumbnails:
    """``read`` gives the bytes of a picture."""

    def __init__(self, read: Callable[[Asset], Awaitable[bytes]]) -> None:
        self._read = read
        self._kept = OrderedDict[str, bytes]()
        self._bytes = 0
        self._making = dict[str, _Making]()
        self._turns = anyio.CapacityLimiter(_AT_ONCE)

    async def of(self, asset: Asset) -> bytes:
        """A small WebP. Raises InvalidImage and TooLarge for what is no picture that can be read, and NotFound."""
        if not asset.mime.startswith("image/"):
            raise InvalidImage("This file is no picture.", hint="Open or download it.")
        while asset.sha256 not in self._kept:
            if (making := self._making.get(asset.sha256)) is None:
                await self._make(asset)
                continue
            await making.ended.wait()
            if making.failure is not None:
                raise making.failure
        self._kept.move_to_end(asset.sha256)
        return self._kept[asset.sha256]

    def forget(self, asset: Asset) -> None:
        """Nothing shall be left of it."""
        self._bytes -= len(self._kept.pop(asset.sha256, b""))

    async def _make(self, asset: Asset) -> None:
        making = self._making[asset.sha256] = _Making()
        try:
            async with self._turns:
                self._keep(asset.sha256, await images.thumbnail(await self._read(asset), _SIDE))
        except WorkbenchError as failure:
            making.failure = failure
            raise
        finally:
            del self._making[asset.sha256]
            making.ended.set()

    def _keep(self, name: str, data: bytes) -> None:
        self._kept[name] = data
        self._bytes += len(data)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
