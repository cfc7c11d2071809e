"""A picture in the format that a client asked for. Used by the front doors over HTTP."""

from __future__ import annotations

import io

from comfy_mcp.images.limits import MADE
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import read_structure
from comfy_mcp.images.threads import run_quick, run_slow

__all__ = ["convert"]


async def convert(data: bytes, mime: str, *, quality: int | None = None) -> bytes:
    """The picture as image/png, image/jpeg or image/webp, whole; as it is when it is of that type already.

    ``quality`` is 0 to 100 of JPEG and WebP. Of an animation, the first frame. JPEG shows what is transparent as white.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more pixels than ComfyUI may make.
    """
    has = sniff(data).mime
    if has == mime and quality is None:
        return data
    structure = await run_quick(lambda: read_structure(data, has))
    MADE.check(structure.width, structure.height)
    return await run_slow(lambda: _converted(data, has, mime, quality), pixels=structure.width * structure.height)


def _converted(data: bytes, has: str, mime: str, quality: int | None) -> bytes:
    from comfy_mcp.images.decoding import on_white, opened, to_eight_bits, turn_upright

    with opened(data, has) as image:
        image.load()
        turn_upright(image)
        picture = to_eight_bits(image)
        picture.info.clear()
        file = io.BytesIO()
        if mime == "image/png":
            picture.save(file, "PNG", compress_level=1)
        elif mime == "image/webp":
            picture.save(file, "WEBP", quality=90 if quality is None else quality, method=1)
        else:
            on_white(picture).save(file, "JPEG", quality=90 if quality is None else max(1, quality))
        return file.getvalue()
