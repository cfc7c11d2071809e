"""Reads the skeleton of a picture file: its size, its frames, whether all of it is there, and what else is inside.

Walks PNG chunks, JPEG segments, WebP chunks and GIF blocks without a decoder, so that a decompression bomb costs
nothing and a cut at any byte is found in about a millisecond per megabyte. Used by gate, which knows what AVIF needs.
"""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from comfy_mcp.errors import InvalidImage
from comfy_mcp.images.damage import cut_off, garbled

__all__ = ["Structure", "read_structure"]

_MOST_PARTS = 100_000
"""Chunks, segments or blocks in one file: beyond it only a file made to waste time."""
_TURN, _PAUSE_SECONDS = 256, 0.0001
_MOST_SCANS = 100
"""Passes over a JPEG, each of which takes a decoder through the whole picture; encoders write 10 or so."""


@dataclass(frozen=True, slots=True)
class Structure:
    """``width`` and ``height`` in pixels bound every frame. ``plain``: nothing but one still picture is inside."""

    width: int
    height: int
    frames: int = 1
    plain: bool = False


def read_structure(data: bytes, mime: str) -> Structure:
    """Read a whole picture of a type that `sniff` names, AVIF aside. Raises InvalidImage for a cut or garbled one."""
    read = _READERS.get(mime)
    if read is None:
        raise InvalidImage(
            "This is not a picture of a kind that is taken here.", hint="Use a PNG, JPEG, WebP, GIF or AVIF file."
        )
    try:
        found = read(data)
    except (struct.error, IndexError):
        raise cut_off() from None
    if not (found.width > 0 and found.height > 0):
        raise garbled("it has no size")
    return found


def _give_way() -> None:
    """Other threads, the event loop's above all, would wait for five milliseconds each time they want to go on; what
    sleeps no time at all goes on before they have woken up."""
    time.sleep(_PAUSE_SECONDS)


def _counted(most: int = _MOST_PARTS) -> Iterator[int]:
    for number in range(most):
        if number % _TURN == _TURN - 1:
            _give_way()
        yield number
    raise garbled("it is cut into too many parts")


_PNG_PLAIN = frozenset((b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT pHYs bKGD hIST cICP").split())


def _png(data: bytes) -> Structure:
    view = memoryview(data)
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if (length, kind) != (13, b"IHDR"):
        raise garbled("it does not start with its size")
    at, frames, kinds = 8, 1, set[bytes]()
    for _ in _counted():
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[at + 4 : end]) != checksum:
            raise garbled("a checksum does not match")
        if kind == b"IHDR" and kinds:
            raise garbled("it tells its size twice")
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
        kinds.add(kind)
        at = end + 4
        if kind == b"IEND":
            break
    if b"IDAT" not in kinds:
        raise garbled("it holds no picture")
    return Structure(width, height, max(frames, 1), plain=kinds <= _PNG_PLAIN and at == len(data))


_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_METADATA = frozenset(range(0xE0, 0xF0)) | {0xFE}
_JPEG_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def _jpeg(data: bytes) -> Structure:
    at, width, height, scans, plain = 2, 0, 0, 0, True
    for _ in _counted():
        if data[at] != 0xFF:
            raise garbled("a marker is missing")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        segment = data[at + 4 : at + 2 + length]
        if len(segment) != length - 2:
            raise cut_off()
        if marker in _JPEG_SIZES:
            # Whichever a decoder takes when there are several, it is no larger.
            high, wide = struct.unpack_from(">HH", segment, 1)
            width, height = max(width, wide), max(height, high)
        plain = plain and (marker not in _JPEG_METADATA or _describes_colors(marker, segment))
        at += 2 + length
        if marker == 0xDA:
            scans += 1
            if scans > _MOST_SCANS:
                raise garbled("it is cut into too many parts")
            found = _JPEG_NEXT_MARKER.search(data, at)
            if found is None:
                raise cut_off()
            at = found.start()
            _give_way()
    return Structure(width, height, plain=plain and at + 2 == len(data))


def _describes_colors(marker: int, segment: bytes) -> bool:
    """Segments among the metadata that a decoder needs: JFIF without a thumbnail, Adobe's transform, a profile."""
    jfif = marker == 0xE0 and segment.startswith(b"JFIF\0") and len(segment) == 14
    return jfif or marker == 0xEE or (marker == 0xE2 and segment.startswith(b"ICC_PROFILE\0"))


_WEBP_PLAIN = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP"))
_WEBP_PICTURES = frozenset((b"VP8 ", b"VP8L", b"ANMF"))


def _webp(data: bytes) -> Structure:
    (size,) = struct.unpack_from("<I", data, 4)
    whole = 8 + size
    if whole > len(data):
        raise cut_off()
    at, frames, canvas, kinds = 12, 0, None, set[bytes]()
    for _ in _counted():
        if at + 8 > whole:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > whole:
            raise garbled("a part is longer than the file")
        canvas = canvas or _webp_size(kind, data, at + 8)
        frames += kind == b"ANMF"
        kinds.add(kind)
        at += 8 + length + (length & 1)
    if canvas is None or not kinds & _WEBP_PICTURES:
        raise garbled("it holds no picture")
    return Structure(*canvas, max(frames, 1), plain=kinds <= _WEBP_PLAIN and whole == len(data))


def _webp_size(kind: bytes, data: bytes, at: int) -> tuple[int, int] | None:
    """The size in pixels, if this is one of the three chunks that can come first and tell it."""
    if kind == b"VP8X":
        width, height = data[at + 4 : at + 7], data[at + 7 : at + 10]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, at + 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, at + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _gif(data: bytes) -> Structure:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames, plain = 13 + _palette_bytes(flags), 0, True
    blocks = _counted(_MOST_PARTS + len(data) // 128)
    for _ in _counted():
        introducer = data[at]
        if introducer == 0x3B:
            break
        if introducer == 0x21:
            plain = plain and data[at + 1] == 0xF9
            at = _after_blocks(data, at + 2, blocks)
        elif introducer == 0x2C:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            # A frame may reach beyond the screen, and decoders then grow the picture.
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            at = _after_blocks(data, at + 11 + _palette_bytes(flags), blocks)
        else:
            raise garbled("a block of an unknown kind is inside")
    if not frames:
        raise garbled("it holds no picture")
    return Structure(width, height, frames, plain=plain and at + 1 == len(data))


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int, blocks: Iterator[int]) -> int:
    """``blocks`` counts those of the whole file: each but the last of a frame has 255 bytes when nobody wastes time."""
    for _ in blocks:
        length = data[at]
        at += 1 + length
        if not length:
            break
    return at


_READERS: dict[str, Callable[[bytes], Structure]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/gif": _gif,
}
