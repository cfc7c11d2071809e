"""A small picture of a picture, for pages that show many. Used by the workbench."""

from __future__ import annotations

from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import MADE

__all__ = ["thumbnail"]

_MOST_BYTES = 48_000


async def thumbnail(data: bytes, side: int) -> bytes:
    """WebP without metadata, its longer side at most ``side`` pixels; of an animation, the first frame.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more pixels than ComfyUI may make, or there is no memory or no time for it.
    """
    picture = await admit(data, MADE)
    return (await picture.run("fit", max_bytes=_MOST_BYTES, max_side=side, preference=["image/webp"])).data
