"""Pictures made to take all memory or all time of who opens them, each by its name. Made when asked for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache, partial

from PIL import Image

from tests.images import samples

__all__ = ["BOMBS", "TEXTS", "black"]


@cache
def black(side: int) -> bytes:
    """A square of so many black pixels a side in about a thousandth of the bytes."""
    return samples.bomb(side)


def _renamed(head: bytes) -> bytes:
    return head.ljust(50_000, b"\0")


def _text(kind: bytes) -> bytes:
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    packed = zlib.compress(bytes(60_000_000), 9)
    return samples.png(8, 8, *[samples.chunk(kind, head + packed)] * 50, pixels=zlib.compress(bytes(72))) + b"tail"


def _texts(kind: bytes, damaged: bool) -> bytes:
    """As many texts as there may be parts, each much too long."""
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[kind]
    packed = zlib.compress(bytes(1_100_000), 9)
    packed = packed[:-4] + b"none" if damaged else packed
    part = samples.chunk(kind, head + packed)
    return samples.png(8, 8, *[part] * (1_600_000 // len(part)), pixels=zlib.compress(bytes(72)))


def _apng(frames: int) -> bytes:
    control = samples.chunk(b"acTL", struct.pack(">II", frames, 0))
    part = samples.chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 10, 0, 0))
    return samples.png(8, 8, control, *[part] * frames, pixels=zlib.compress(bytes(72)))


def _more_pixels_than_told() -> bytes:
    return samples.png(8, 8, pixels=zlib.compress(bytes(500_000_000), 1)) + b"tail"


def _scans() -> bytes:
    """A progressive JPEG that goes over its pixels again and again."""
    whole = samples.encoded(samples.photo(64, 64).resize((5_700, 5_700)), "JPEG", progressive=True)
    scan = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[scan:-2] * 150 + whole[-2:]


def _gif_blocks() -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02" + b"\x01\x41" * 499_000 + b"\0"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame * 20 + b"\x3b"


def _gif_beyond() -> bytes:
    """A frame far beyond the screen, for which decoders make the screen larger."""
    frame = b"\x2c" + struct.pack("<HHHHB", 65_000, 65_000, 500, 500, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame + b"\x3b"


def _webp_canvas() -> bytes:
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff\xff\xff" * 2
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _webp(side: int) -> bytes:
    return samples.encoded(Image.new("RGBA", (side, side), (0, 0, 0, 9)), "WEBP", lossless=True, method=0)


def _avif(side: int) -> bytes:
    return samples.encoded(Image.new("RGBA", (side, side), (0, 0, 0, 9)), "AVIF", speed=10)


BOMBS: dict[str, Callable[[], bytes]] = {
    "33 megapixels of nothing": partial(black, 5_744),
    "33 megapixels of nothing with a tail": lambda: black(5_744) + b"tail",
    "10 megapixels of nothing as WebP": partial(_webp, 3_162),
    "10 megapixels of nothing as AVIF": partial(_avif, 3_162),
    "33 megapixels of nothing as WebP": partial(_webp, 5_744),
    "33 megapixels of nothing as AVIF": partial(_avif, 5_744),
    "169 megapixels": partial(black, 13_000),
    "268 megapixels": partial(black, 16_384),
    "one long line": lambda: samples.png(65_535, 1, pixels=zlib.compress(bytes(65_536))),
    "one endless column": lambda: samples.png(1, 2**31 - 1),
    "more than an endless column": lambda: samples.png(1, 2**31),
    "the largest number a side": lambda: samples.png(2**32 - 1, 2**32 - 1),
    "no width": lambda: samples.png(0, 5),
    "more pixels than told": _more_pixels_than_told,
    "100 000 frames of GIF": partial(samples.long_gif, 100_000),
    "100 000 frames of PNG": partial(_apng, 100_000),
    "frames told and not sent": lambda: samples.png(8, 8, samples.chunk(b"acTL", struct.pack(">II", 2**31, 0))),
    "packed text": partial(_text, b"zTXt"),
    "packed international text": partial(_text, b"iTXt"),
    "packed colour profile": partial(_text, b"iCCP"),
    "millions of small parts": lambda: samples.png(8, 8, *[samples.chunk(b"abcd", b"")] * 1_000_000),
    "hundreds of scans": _scans,
    "millions of small blocks": _gif_blocks,
    "a frame beyond the screen": _gif_beyond,
    "a canvas of 16 million a side": _webp_canvas,
    "FITS": partial(_renamed, b"SIMPLE  =                    T"),
    "EPS": partial(_renamed, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n"),
    "PSD": partial(_renamed, b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3)),
    "GD": partial(_renamed, b"\xff\xfe" + struct.pack(">HH", 30_000, 30_000)),
    "TIFF": partial(_renamed, b"II*\0\x08\0\0\0"),
    "ICO": partial(_renamed, b"\0\0\1\0\xff\xff"),
    "SVG": partial(_renamed, b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>"),
    "PDF": partial(_renamed, b"%PDF-1.7\n"),
    "PNG cut in half": lambda: black(2_000)[: len(black(2_000)) // 2],
    "JPEG cut in half": lambda: samples.encoded(samples.photo(2_000, 2_000), "JPEG")[:20_000],
    "GIF cut in half": lambda: samples.long_gif(300)[:1_000],
    "WebP cut in half": lambda: samples.encoded(samples.photo(500, 500), "WEBP")[:1_000],
    "AVIF cut in half": lambda: samples.encoded(samples.photo(500, 500), "AVIF", speed=10)[:1_000],
}

TEXTS: dict[str, Callable[[], bytes]] = {
    "hundreds of packed texts": partial(_texts, b"zTXt", damaged=False),
    "hundreds of packed international texts": partial(_texts, b"iTXt", damaged=False),
    "hundreds of packed texts that end wrongly": partial(_texts, b"zTXt", damaged=True),
    "hundreds of packed international texts that end wrongly": partial(_texts, b"iTXt", damaged=True),
}
"""Whole pictures that are harmless to look at, and a trap to read the texts of."""
