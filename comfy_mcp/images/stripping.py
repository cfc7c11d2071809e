"""Takes out of a picture what it says beside itself: prompts, workflows, cameras, places.

Owns which parts of a file stay. PNG and WebP keep every pixel and frame as they are; the others are decoded. Used by
the front doors that hand out files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from comfy_mcp.errors import InvalidImage
from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import MADE
from comfy_mcp.images.threads import run_quick

__all__ = ["can_strip", "stripped"]

_STRIPPED = frozenset({"image/png", "image/webp", "image/jpeg", "image/avif"})
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT pHYs bKGD hIST cICP acTL fcTL fdAT mDCV cLLI".split()
)
_WEBP_KEPT = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))
_WEBP_EXIF_XMP = 0x08 | 0x04


def can_strip(mime: str) -> bool:
    """Whether `stripped` takes files of this type."""
    return mime in _STRIPPED


async def stripped(data: bytes) -> tuple[bytes, str]:
    """The picture and nothing else, and its type: that of the file, but PNG for one that is neither PNG nor WebP.

    Raises:
        InvalidImage: no whole picture, or of a kind whose other contents cannot be taken out.
        TooLarge: more pixels than may be made, or there is no memory or no time for it.
    """
    picture = await admit(data, MADE)
    if picture.structure.plain:
        return data, picture.mime
    if (strip := _STRIPPERS.get(picture.mime)) is not None:
        return await run_quick(lambda: strip(data)), picture.mime
    if picture.structure.frames > 1 or not can_strip(picture.mime):
        raise InvalidImage("Of this kind of picture nothing can be taken out.", hint="Take it as it is.")
    return (await picture.run("accept", keep=False)).data, "image/png"


def _png(data: bytes) -> bytes:
    def chunks() -> Iterator[bytes]:
        at = 8
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            if kind in _PNG_KEPT:
                yield data[at : at + 12 + length]
            if kind == b"IEND":
                return
            at += 12 + length

    return data[:8] + b"".join(chunks())


def _webp(data: bytes) -> bytes:
    end = 8 + struct.unpack_from("<I", data, 4)[0]

    def chunks() -> Iterator[bytes]:
        at = 12
        while at + 8 <= end:
            kind, length = struct.unpack_from("<4sI", data, at)
            after = at + 8 + length + (length & 1)
            chunk = data[at:after]
            if kind == b"VP8X":
                chunk = chunk[:8] + bytes((chunk[8] & ~_WEBP_EXIF_XMP,)) + chunk[9:]
            if kind in _WEBP_KEPT:
                yield chunk
            at = after

    body = b"WEBP" + b"".join(chunks())
    return b"RIFF" + struct.pack("<I", len(body)) + body


_STRIPPERS: dict[str, Callable[[bytes], bytes]] = {"image/png": _png, "image/webp": _webp}
