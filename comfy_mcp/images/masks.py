"""A mask as our templates take it: grey, white where the picture is to be painted anew.

Owns what of a picture is its mask. Used by the front doors whose clients send masks of other kinds.
"""

from __future__ import annotations

from comfy_mcp.images.decoder import run_decoder
from comfy_mcp.images.limits import UPLOADED
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import read_structure
from comfy_mcp.images.threads import run_quick

__all__ = ["mask_in"]


async def mask_in(data: bytes, *, inverted: bool = False, only_alpha: bool = False) -> bytes:
    """A grey PNG, white where the picture is opaque, or bright if all of it is; ``inverted``, the other way round.

    One that is opaque all over is refused if ``only_alpha`` counts.

    Raises:
        InvalidImage: no whole picture, or one that says nothing.
        TooLarge: more pixels than people may send, or there is no memory or no time for it.
    """
    mime = sniff(data).mime
    structure = await run_quick(lambda: read_structure(data, mime))
    UPLOADED.check(structure.width, structure.height, structure.frames)
    made = await run_decoder("mask", data, structure, mime, {"inverted": inverted, "only_alpha": only_alpha})
    return data if made.data is None else made.data
