"""Pictures that people send for later jobs: kept, and let go again where nothing came of the request.

Owns that bytes stay as long as a record names them, whatever other processes on the same folder do. Used by the
workbench and its gallery.
"""

from __future__ import annotations

import anyio
from anyio import from_thread

from comfy_mcp.assets import Assets
from comfy_mcp.errors import StorageUnavailable
from comfy_mcp.jobs import Asset
from comfy_mcp.store import JobStore
from comfy_mcp.tasks import to_the_end

__all__ = ["Inputs"]

_MOST_SECONDS = 5.0
"""Nobody can write to the database while bytes are removed."""


class Inputs:
    """The pictures that were sent to one workbench."""

    def __init__(self, store: JobStore, assets: Assets) -> None:
        self._store = store
        self._assets = assets

    async def keep(self, data: bytes, owner: str) -> Asset:
        """Store a picture that was let in. Raises StorageUnavailable."""
        asset = await self._assets.keep(data, name_fields={"template": "upload"})
        await self._store.add_asset(owner, asset)
        await self._assets.assure(asset, data)
        return asset

    async def release(self, asset: Asset) -> None:
        """Forget a picture that no job has. Raises StorageUnavailable."""
        await self._store.drop_asset(asset)
        await self.erase(asset)

    async def erase(self, asset: Asset) -> None:
        """Remove the bytes of a forgotten asset, if no record names them. Raises StorageUnavailable."""

        def remove() -> None:
            from_thread.run(self._remove, asset)

        await to_the_end(self._store.pictures.erase(asset.key, remove))

    async def _remove(self, asset: Asset) -> None:
        try:
            with anyio.fail_after(_MOST_SECONDS):
                await self._assets.delete(asset)
        except TimeoutError as failure:
            raise StorageUnavailable("The storage does not answer.", hint="Look at the setting `assets`.") from failure
