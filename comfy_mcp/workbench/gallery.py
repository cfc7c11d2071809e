"""The gallery: a person's pictures found, looked at, marked and deleted, and old ones deleted by the workbench itself.

Owns what deleting comes to: first the record, then the bytes, which may be tried again later. Used by the page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

from comfy_mcp.errors import Conflict, NotFound, StorageUnavailable, WorkbenchError
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.store import Dropped, Facets, Found, Sought, Usage
from comfy_mcp.tasks import to_the_end
from comfy_mcp.workbench.inputs import Inputs
from comfy_mcp.workbench.thumbnails import Thumbnails

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Gallery", "Neighbours"]

log = logging.getLogger(__name__)

_TIDY_SECONDS = 60.0
_BATCH = 100
_PAUSE_SECONDS = 0.5
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The ids of the pictures beside one, in the order of the gallery."""

    newer: str | None
    older: str | None


class Gallery:
    """The pictures of a workbench."""

    def __init__(self, workbench: Workbench, inputs: Inputs) -> None:
        self._workbench, self._inputs = workbench, inputs
        self._store = workbench.store.pictures
        self._thumbnails = Thumbnails(workbench.read)

    async def find(self, owner: str, sought: Sought, *, limit: int = 60, before: str | None = None) -> Sequence[Found]:
        """The newest first; ``before`` is the id of the last one of the page before. Raises NotFound."""
        return await self._store.find(owner, sought, limit=limit, beyond=before)

    async def picture(self, asset: str, owner: str) -> tuple[Found, Job | None]:
        """A picture with the job that made it. Raises NotFound."""
        found = await self._store.get(asset, owner)
        return found, None if found.job is None else await self._workbench.job(found.job, owner)

    async def beside(self, asset: str, owner: str, sought: Sought) -> Neighbours:
        """What comes before and after it among those sought. Raises NotFound."""
        newer = await self._store.find(owner, sought, limit=1, beyond=asset, newer=True)
        older = await self._store.find(owner, sought, limit=1, beyond=asset)
        return Neighbours(*(next((found.asset.id for found in each), None) for each in (newer, older)))

    async def facets(self, owner: str) -> Facets:
        """The templates, models and styles that there are pictures of."""
        return await self._store.facets(owner)

    async def newest(self, owner: str, each: Literal["template", "style"]) -> Mapping[str, str]:
        """The id of the newest picture made with each template, or in each style."""
        return await self._store.newest(owner, each)

    async def usage(self, owner: str | None = None) -> Usage:
        """What the pictures of an owner take, or those of all."""
        return await self._store.usage(owner)

    async def thumbnail(self, asset: Asset) -> bytes:
        """A small WebP of a picture. Raises InvalidImage, TooLarge and NotFound."""
        return await self._thumbnails.of(asset)

    async def mark(self, asset: str, owner: str, kept: bool) -> None:
        """Mark a picture to be kept whatever its age, or take that back. Raises NotFound."""
        await self._store.mark(asset, owner, kept)

    async def delete(self, assets: Sequence[str], owner: str) -> int:
        """Delete those of the owner among these, with their bytes; how many there were.

        Raises:
            NotFound: none of them is there.
            Conflict: a job that has not ended needs one; the others are deleted.
        """
        dropped = await to_the_end(self._store.drop(assets, owner))
        await self._erase(dropped)
        if dropped.needed:
            raise Conflict(
                f"{len(dropped.needed)} of the pictures are inputs of a job that has not ended.",
                hint="Wait until it has, or cancel it; then delete them.",
            )
        if not dropped.gone:
            raise NotFound("These pictures are not there any more.", hint="Reload the gallery.")
        return len(dropped.gone)

    async def tidy(self) -> None:
        """Again and again: delete what is older than the setting says, and bytes that were left behind."""
        while True:
            seconds = _TIDY_SECONDS
            try:
                aged = await self._drop_aged()
                await self._erase(aged)
                if len(aged.gone) == _BATCH:
                    seconds = _PAUSE_SECONDS
            except WorkbenchError:
                log.exception("Old pictures are not deleted now; this is tried again in %s s.", seconds)
            await anyio.sleep(seconds)

    async def _drop_aged(self) -> Dropped:
        days = self._workbench.settings.retention
        if not days:
            return Dropped((), ())
        dropped = await to_the_end(self._store.drop_aged(time.time() - days * _DAY, _BATCH))
        if dropped.gone:
            log.info("%d pictures older than %d days are deleted.", len(dropped.gone), days)
        return dropped

    async def _erase(self, dropped: Dropped) -> None:
        """Remove the bytes of what is forgotten. What the storage refuses now is left for later."""
        for asset in dropped.gone:
            self._thumbnails.forget(asset)
        try:
            for asset in await self._store.leaving(max(_BATCH, len(dropped.gone))):
                await self._inputs.erase(asset)
        except StorageUnavailable:
            log.warning("Deleted pictures are still in the storage; this is tried again.", exc_info=True)
