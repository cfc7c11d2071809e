"""Takes a picture that a person sends: proves that it decodes, turns it upright, and drops what it says of its maker.

Owns the rule of what is kept as it came: a still PNG, JPEG or WebP with nothing inside but the picture and its colour
profile. Everything else becomes a PNG of the first frame, alpha included. Used by workbench.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from comfy_mcp.images.limits import UPLOADED, Limits
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import Structure, read_structure
from comfy_mcp.images.threads import run_quick, run_slow

__all__ = ["Accepted", "accept_upload"]

_KEPT = frozenset({"image/png", "image/jpeg", "image/webp"})
_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A picture free of metadata; ``width`` and ``height`` in pixels, upright."""

    data: bytes
    mime: str
    width: int
    height: int


async def accept_upload(data: bytes, *, limits: Limits = UPLOADED) -> Accepted:
    """Decode a picture in full and return it without metadata.

    Raises:
        InvalidImage: not a whole PNG, JPEG, WebP, GIF or AVIF.
        TooLarge: over ``limits``.
    """
    mime = sniff(data).mime
    structure = await run_quick(lambda: read_structure(data, mime))
    limits.check(structure.width, structure.height, structure.frames)
    return await run_slow(lambda: _accept(data, mime, structure), pixels=structure.width * structure.height)


def _accept(data: bytes, mime: str, structure: Structure) -> Accepted:
    from comfy_mcp.images.decoding import opened, turn_upright

    with opened(data, mime) as image:
        image.load()
        if structure.plain and structure.frames == 1 and mime in _KEPT:
            return Accepted(data, mime, *image.size)
        turn_upright(image)
        picture = (
            image if image.mode in _PNG_MODES else image.convert("RGBA" if image.mode in ("PA", "RGBa") else "RGB")
        )
        # A colour profile describes the numbers as they were: after a conversion it would be wrong.
        kept = ("transparency", "icc_profile") if picture is image else ()
        picture.info = {key: value for key, value in image.info.items() if key in kept}
        file = io.BytesIO()
        # Level 1 takes a third of the time of the usual 6 and makes photos a tenth larger.
        picture.save(file, "PNG", compress_level=1)
        return Accepted(file.getvalue(), "image/png", *picture.size)
