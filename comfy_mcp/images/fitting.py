"""Makes a copy of a picture that fits into a number of bytes, for chats that cannot take the original.

Owns the decision whether a copy is needed; how it is made is in shrinking. Used by content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import MADE

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
    picture = await admit(data, MADE)
    mime, longest = picture.mime, max(picture.structure.width, picture.structure.height)
    if len(data) <= max_bytes and longest <= (max_side or longest) and mime in {*_ANYWHERE, *mime_preference[:1]}:
        return Fitted(data, mime, original=True)

    made = await picture.run("fit", max_bytes=max_bytes, max_side=max_side, preference=list(mime_preference))
    return Fitted(made.data, made.mime, original=False)
