"""Takes a picture that a person sends: proves that it decodes, turns it upright, and drops what it says of its maker.

Owns the rule of what is kept as it came: a still PNG, JPEG or WebP with nothing inside but the picture and its colour
profile. Everything else becomes a PNG of the first frame, alpha included. Used by workbench.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_mcp.images.decoder import run_decoder
from comfy_mcp.images.limits import UPLOADED, Limits
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import read_structure
from comfy_mcp.images.threads import run_quick

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
    mime = sniff(data).mime
    structure = await run_quick(lambda: read_structure(data, mime))
    limits.check(structure.width, structure.height, structure.frames)
    keep = structure.plain and structure.frames == 1 and mime in _KEPT
    made = await run_decoder("accept", data, structure, mime, {"keep": keep})
    return Accepted(data if made.data is None else made.data, made.mime, made.width, made.height)
