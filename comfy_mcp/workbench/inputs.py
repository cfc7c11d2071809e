"""Pictures that people send for later jobs: kept, and let go again where nothing came of the request.

Owns that bytes which two pictures share stay as long as one of them does. Used by the workbench alone.
"""

from __future__ import annotations

import anyio

from comfy_mcp.assets import Assets
from comfy_mcp.jobs import Asset
from comfy_mcp.store import JobStore

__all__ = ["Inputs"]


class Inputs:
    """The pictures that were sent to one workbench."""

    def __init__(self, store: JobStore, assets: Assets) -> None:
        self._store = store
        self._assets = assets
        self._releasing = anyio.Lock()
        self._storing = 0

    async def keep(self, data: bytes, owner: str) -> Asset:
        """Store a picture that was let in. Raises StorageUnavailable."""
        async with self._releasing:
            self._storing += 1
        try:
            asset = await self._assets.keep(data, name_fields={"template": "upload"})
            await self._store.add_asset(owner, asset)
        finally:
            self._storing -= 1
        return asset

    async def erase(self, asset: Asset) -> bool:
        """Remove the bytes that no record names; False when something is being stored, which may be the same. Raises
        StorageUnavailable."""
        async with self._releasing:
            if not self._storing:
                await self._assets.delete(asset)
            return not self._storing

    async def release(self, asset: Asset) -> None:
        """Forget a picture that no job has. Raises StorageUnavailable."""
        async with self._releasing:
            alone = await self._store.drop_asset(asset)
            # One that is stored meanwhile may be the same, and not told of yet: better a file too many.
            if alone and not self._storing:
                await self._assets.delete(asset)
