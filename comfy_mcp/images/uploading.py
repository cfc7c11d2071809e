"""Takes a picture that a person sends: proves that it decodes, turns it upright, and drops what it says of its maker.

Owns the rule of what is kept as it came: a still PNG, JPEG or WebP with nothing inside but the picture and its colour
profile. Everything else becomes a PNG of the first frame, alpha included. Used by workbench.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import UPLOADED, Limits

__all__ = ["Accepted", "accept_upload"]

_KEPT = frozenset({"image/png", "image/jpeg", "image/webp"})


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
        TooLarge: over ``limits``, or there is no memory or no time for it.
    """
    picture = await admit(data, limits)
    keep = picture.structure.plain and picture.structure.frames == 1 and picture.mime in _KEPT
    made = await picture.run("accept", keep=keep)
    return Accepted(made.data, made.mime, made.width, made.height)
