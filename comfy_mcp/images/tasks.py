"""What is done with a decoded picture: each a function from bytes to bytes, in a thread or in a process of its own.

Knows neither. Brings Pillow, so it is imported late. Run by decoder and program.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from PIL import ImageOps
from PIL.Image import Image as Picture

from comfy_mcp.errors import InvalidImage
from comfy_mcp.images.decoding import on_white, opened, to_eight_bits, turn_upright
from comfy_mcp.images.made import Made
from comfy_mcp.images.shrinking import shrunk

__all__ = ["TASKS"]

_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})


def _accepted(data: bytes, mime: str, *, keep: bool) -> Made:
    """The picture as it is if ``keep`` says that it may stay, else upright and bare as PNG."""
    with opened(data, mime) as image:
        image.load()
        if keep:
            return Made(data, mime, *image.size)
        turn_upright(image)
        picture = (
            image if image.mode in _PNG_MODES else image.convert("RGBA" if image.mode in ("PA", "RGBa") else "RGB")
        )
        # A colour profile describes the numbers as they were: after a conversion it would be wrong.
        kept = ("transparency", "icc_profile") if picture is image else ()
        picture.info = {key: value for key, value in image.info.items() if key in kept}
        return Made(_png(picture), "image/png", *picture.size)


def _converted(data: bytes, mime: str, *, to: str, quality: int | None) -> Made:
    """The picture, whole, as PNG, JPEG or WebP."""
    with opened(data, mime) as image:
        image.load()
        turn_upright(image)
        picture = to_eight_bits(image)
        picture.info.clear()
        if to == "image/png":
            return Made(_png(picture), to, *picture.size)
        file = io.BytesIO()
        if to == "image/webp":
            picture.save(file, "WEBP", quality=90 if quality is None else quality, method=1)
        else:
            on_white(picture).save(file, "JPEG", quality=90 if quality is None else max(1, quality))
        return Made(file.getvalue(), to, *picture.size)


def _fitted(data: bytes, mime: str, *, max_bytes: int, max_side: int | None, preference: Sequence[str]) -> Made:
    """A copy of at most so many bytes."""
    return Made(*shrunk(data, mime, max_bytes, max_side, preference))


def _masked(data: bytes, mime: str, *, inverted: bool, only_alpha: bool) -> Made:
    """What of the picture is a mask, as grey PNG."""
    with opened(data, mime) as image:
        image.load()
        turn_upright(image)
        picture = to_eight_bits(image)
        if only_alpha and picture.mode != "RGBA":
            raise InvalidImage("The mask has no transparent part.", hint="Send one that is transparent in places.")
        mask = picture.getchannel("A") if picture.mode == "RGBA" else picture.convert("L")
        return Made(_png(ImageOps.invert(mask) if inverted else mask), "image/png", *mask.size)


def _measured(data: bytes, mime: str) -> Made:
    """How large it is, and how many frames it has; no pixel is decoded."""
    with opened(data, mime) as image:
        return Made(data, mime, *image.size, getattr(image, "n_frames", 1))


def _png(picture: Picture) -> bytes:
    file = io.BytesIO()
    # Level 1 takes a third of the time of the usual 6 and makes photos a tenth larger.
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


TASKS: dict[str, Callable[..., Made]] = {
    "accept": _accepted,
    "convert": _converted,
    "fit": _fitted,
    "mask": _masked,
    "measure": _measured,
}
