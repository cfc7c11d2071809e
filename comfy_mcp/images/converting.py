"""A picture in the format that a client asked for. Used by the front doors over HTTP."""

from __future__ import annotations

from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import MADE
from comfy_mcp.images.sniffing import sniff

__all__ = ["convert"]


async def convert(data: bytes, mime: str, *, quality: int | None = None) -> bytes:
    """The picture as image/png, image/jpeg or image/webp, whole; as it is when it is of that type already.

    ``quality`` is 0 to 100 of JPEG and WebP. Of an animation, the first frame. JPEG shows what is transparent as white.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more than ComfyUI may make, or there is no memory or no time for it.
    """
    if sniff(data).mime == mime and quality is None:
        return data
    picture = await admit(data, MADE)
    return (await picture.run("convert", to=mime, quality=quality)).data
