"""Finds the best lossy copy within a number of bytes in few encodings.

A sample of the picture tells what each quality costs per pixel; from that come a quality and a size, and what is still
too large is corrected by how much it was. Imported late, like decoding. Used by fitting.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import sqrt

from PIL import Image
from PIL.Image import Image as Picture

from comfy_mcp.errors import TooLarge
from comfy_mcp.images.decoding import on_white, opened, to_eight_bits, turn_upright

__all__ = ["shrunk"]

_QUALITIES = (90, 82, 75)
"""Best first. Below the last one a smaller picture looks better than a coarser one."""
_LONGEST = {"image/webp": 16_383, "image/jpeg": 65_500}
_TILE = 128
_TILES = 4
_MARGIN = 0.93
_STEP = 1.3
"""An excess that the next quality makes up for."""
_ENCODINGS = 8
_SMALLEST_SIDE = 16


def shrunk(
    data: bytes, mime: str, max_bytes: int, max_side: int | None, mime_preference: Sequence[str]
) -> tuple[bytes, str]:
    """Bytes and type of the copy. Raises TooLarge when even a thumbnail takes more than ``max_bytes``."""
    wanted = next((choice for choice in mime_preference if choice in _LONGEST), "image/jpeg")
    side = min(max_side or _LONGEST[wanted], _LONGEST[wanted])
    with opened(data, mime) as image:
        picture = _decoded(image, side)
        if wanted == "image/jpeg":
            picture = on_white(picture)
        picture = _scaled(picture, min(1.0, side / max(picture.size)))
        return _search(picture, wanted, max_bytes), wanted


def _decoded(image: Picture, side: int) -> Picture:
    # A JPEG can be decoded at half, quarter or eighth of its size, for less time and memory.
    if side < max(image.size):
        image.draft(None, (side, side))
    image.load()
    turn_upright(image)
    picture = to_eight_bits(image)
    # Pillow writes some of it into the copy unasked.
    picture.info.clear()
    return picture


def _search(picture: Picture, mime: str, max_bytes: int) -> bytes:
    sample = _sample(picture)
    share = picture.width * picture.height / (sample.width * sample.height)
    quality, scale, expected = _QUALITIES[0], 1.0, 0.0
    for quality in _QUALITIES:
        encoded = _encoded(sample, mime, quality)
        expected = len(encoded) * share
        if expected <= max_bytes:
            if sample is picture:
                return encoded
            break
    else:
        scale = _MARGIN * sqrt(max_bytes / expected)
    return _correct(picture, mime, max_bytes, quality, scale)


def _correct(picture: Picture, mime: str, max_bytes: int, quality: int, scale: float) -> bytes:
    """Encode, and again a little coarser or smaller until it fits."""
    for _ in range(_ENCODINGS):
        encoded = _encoded(_scaled(picture, scale), mime, quality)
        excess = len(encoded) / max_bytes
        if excess <= 1:
            return encoded
        if max(picture.size) * scale <= _SMALLEST_SIDE:
            break
        if excess < _STEP and quality > _QUALITIES[-1]:
            quality = _QUALITIES[_QUALITIES.index(quality) + 1]
        else:
            scale *= min(_MARGIN, _MARGIN / sqrt(excess))
    raise TooLarge(
        f"The picture cannot be made to fit into {max_bytes} bytes.", hint="Open it by its link, or raise the limit."
    )


def _sample(picture: Picture) -> Picture:
    """Tiles from all over the picture, put together; the picture itself when it is small."""
    edge = _TILE * _TILES
    if picture.width < 2 * edge or picture.height < 2 * edge:
        return picture
    sample = Image.new(picture.mode, (edge, edge))
    for row in range(_TILES):
        for column in range(_TILES):
            left = (picture.width - _TILE) * column // (_TILES - 1)
            top = (picture.height - _TILE) * row // (_TILES - 1)
            sample.paste(picture.crop((left, top, left + _TILE, top + _TILE)), (column * _TILE, row * _TILE))
    return sample


def _scaled(picture: Picture, scale: float) -> Picture:
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _encoded(picture: Picture, mime: str, quality: int) -> bytes:
    file = io.BytesIO()
    if mime == "image/webp":
        # Method 1 of 6: a third of the usual time for copies two hundredths larger.
        picture.save(file, "WEBP", quality=quality, method=1)
    else:
        picture.save(file, "JPEG", quality=quality)
    return file.getvalue()
