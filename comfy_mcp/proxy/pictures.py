"""The pictures that come with a request: fetched and stored when all else of it was checked, gone when it is refused.

Owns that order, and that the same pictures sent again are the same request. Which parameter each one is for, its front
door says.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio

from comfy_mcp.errors import WorkbenchError
from comfy_mcp.jobs import Asset, JobRequest
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template

__all__ = ["Kept", "Sending", "completed", "not_enlarged", "with_pictures"]

log = logging.getLogger(__name__)

_MEGAPIXEL = 1024 * 1024


class Kept:
    """Keeps the pictures of one request."""

    def __init__(self, workbench: Workbench, owner: str) -> None:
        self._workbench, self._owner = workbench, owner
        self._assets: list[Asset] = []

    async def data_of(self, content: bytes | str) -> bytes:
        """What was sent, or is behind the address that was. Raises InvalidImage and TooLarge."""
        return content if isinstance(content, bytes) else await self._workbench.fetch(content)

    async def keep(self, content: bytes | str) -> Asset:
        """Let a picture in and store it. Raises InvalidImage, TooLarge and StorageUnavailable."""
        asset = await self._workbench.upload(await self.data_of(content), self._owner)
        self._assets.append(asset)
        return asset

    async def release(self) -> None:
        """Nothing came of the request."""
        for asset in self._assets:
            try:
                await self._workbench.release(asset)
            except WorkbenchError:
                log.warning("A picture that nobody needs could not be removed.", exc_info=True)


@dataclass(frozen=True, slots=True)
class Sending:
    """Pictures that are there to be taken: for these ``parameters`` of each request, which ``complete`` gives them."""

    parameters: tuple[str, ...]
    complete: Callable[[Kept], Awaitable[Sequence[JobRequest]]]


@asynccontextmanager
async def completed(
    workbench: Workbench, asked: Sequence[JobRequest], sending: Sending | None
) -> AsyncGenerator[Sequence[JobRequest]]:
    """The requests with their pictures. Who leaves the block with a failure has been refused.

    Raises as `Workbench.submit`, and what ``complete`` raises.
    """
    if sending is None:
        yield asked
        return
    for each in asked:
        await workbench.check(each, sending.parameters)
    kept = Kept(workbench, asked[0].owner)
    try:
        yield await sending.complete(kept)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await kept.release()
        raise


def not_enlarged(asked: JobRequest, template: Template, picture: Asset) -> JobRequest:
    """The same, worked on at no more than the picture's own size where nobody says another: the working size of a
    template is made for large pictures, and blows small ones up."""
    size = template.parameters.get("megapixels")
    usual = None if size is None else size.default
    if size is None or not isinstance(usual, float) or "megapixels" in asked.values:
        return asked
    own = max(size.min or 0.0, round((picture.width or 0) * (picture.height or 0) / _MEGAPIXEL, 4))
    return asked if not picture.width or own >= usual else replace(asked, values={**asked.values, "megapixels": own})


def with_pictures(asked: JobRequest, pictures: Mapping[str, Asset]) -> JobRequest:
    """The same with these pictures by parameter."""
    ids = {name: asset.id for name, asset in pictures.items()}
    # The same picture sent again is another upload, but no other request.
    same = {name: asset.sha256 for name, asset in pictures.items()}
    return replace(asked, values={**asked.values, **ids}, asked={**asked.values, **same})
