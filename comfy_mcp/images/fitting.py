"""Makes a copy of a picture that fits into a number of bytes, for chats that cannot take the original.

Owns the decision whether a copy is needed; how it is made is in shrinking. Used by content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comfy_mcp.images.decoder import run_decoder
from comfy_mcp.images.limits import MADE
from comfy_mcp.images.sniffing import sniff
from comfy_mcp.images.structure import read_structure
from comfy_mcp.images.threads import run_quick

__all__ = ["Fitted", "fit"]

_ANYWHERE = frozenset({"image/png", "image/jpeg", "image/gif"})


@dataclass(frozen=True, slots=True)
class Fitted:
    """``original``: these are the bytes that were given, metadata and animation included."""

    data: bytes
    mime: str
    original: bool


async def fit(
    data: bytes,
    *,
    max_bytes: int,
    max_side: int | None = None,
    mime_preference: Sequence[str] = ("image/webp", "image/jpeg"),
) -> Fitted:
    """The picture in at most ``max_bytes``, its longer side at most ``max_side`` pixels.

    The original where it fits and is of a type that every chat reads, or the one preferred; else a copy in the first
    type of ``mime_preference`` that we can write, without metadata, as good and as large as the bytes allow. Of an
    animation that does not fit, the first frame. JPEG shows what is transparent as white. The same input always gives
    the same bytes.

    Raises:
        InvalidImage: no whole picture.
        TooLarge: more pixels than ComfyUI may make, or no copy is small enough.
    """
    mime = sniff(data).mime
    structure = await run_quick(lambda: read_structure(data, mime))
    MADE.check(structure.width, structure.height)
    longest = max(structure.width, structure.height)
    if len(data) <= max_bytes and longest <= (max_side or longest) and mime in {*_ANYWHERE, *mime_preference[:1]}:
        return Fitted(data, mime, original=True)

    asked = {"max_bytes": max_bytes, "max_side": max_side, "preference": list(mime_preference)}
    made = await run_decoder("fit", data, structure, mime, asked)
    return Fitted(data if made.data is None else made.data, made.mime, original=made.data is None)
