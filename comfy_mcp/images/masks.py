"""A mask as our templates take it: grey, white where the picture is to be painted anew.

Owns what of a picture is its mask. Used by the front doors whose clients send masks of other kinds.
"""

from __future__ import annotations

from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import UPLOADED

__all__ = ["mask_in"]


async def mask_in(data: bytes, *, inverted: bool = False, only_alpha: bool = False) -> bytes:
    """A grey PNG, white where the picture is opaque, or bright if all of it is; ``inverted``, the other way round.

    One that is opaque all over is refused if ``only_alpha`` counts.

    Raises:
        InvalidImage: no whole picture, or one that says nothing.
        TooLarge: more pixels than people may send, or there is no memory or no time for it.
    """
    picture = await admit(data, UPLOADED)
    return (await picture.run("mask", inverted=inverted, only_alpha=only_alpha)).data
