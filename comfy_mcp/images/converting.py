"""A picture in the format that a client asked for. Used by the front doors over HTTP."""

from __future__ import annotations

from comfy_mcp.images.decoder import run_decoder
from comfy_mcp.images.limits import MADE
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import read_structure
from comfy_mcp.images.threads import run_quick

__all__ = ["convert"]


async def convert(data: bytes, mime: str, *, quality: int | None = None) -> bytes:
    """The picture as image/png, image/jpeg or image/webp, whole; as it is when it is of that type already.

    ``quality`` is 0 to 100 of JPEG and WebP. Of an animation, the first frame. JPEG shows what is transparent as white.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more pixels than ComfyUI may make, or there is no memory or no time for it.
    """
    has = sniff(data).mime
    if has == mime and quality is None:
        return data
    structure = await run_quick(lambda: read_structure(data, has))
    MADE.check(structure.width, structure.height)
    made = await run_decoder("convert", data, structure, has, {"to": mime, "quality": quality})
    return data if made.data is None else made.data
