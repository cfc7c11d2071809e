"""The one door to Pillow's decoders: opens a picture as the type we found it to be and no other.

Owns the translation of everything a decoder raises. Imported late, inside a worker thread: Pillow takes a twentieth of
a second and five megabytes that a server without pictures should not spend. Used inside images.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from PIL import AvifImagePlugin, Image, ImageOps, WebPImagePlugin
from PIL.Image import Image as Picture

from comfy_mcp.errors import TooLarge, WorkbenchError
from comfy_mcp.images.damage import garbled
from comfy_mcp.images.limits import MADE

__all__ = ["on_white", "opened", "to_eight_bits", "turn_upright"]

log = logging.getLogger(__name__)

_PLUGINS = (AvifImagePlugin, WebPImagePlugin)
"""Named, because at the first format that is not loaded yet Pillow loads all forty."""
_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
}
Image.MAX_IMAGE_PIXELS = MADE.pixels
# Pillow reports damaged metadata as warnings; anybody could fill our error output with them.
warnings.filterwarnings("ignore", module=r"PIL\.")
_UNREADABLE_EXIF = (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error)


@contextmanager
def opened(data: bytes, mime: str) -> Generator[Picture]:
    """The picture, not decoded yet. What is done inside the block may raise like the opening itself.

    Raises:
        InvalidImage: it cannot be decoded.
        TooLarge: there is no memory for it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[mime]]) as image:
            MADE.check(*image.size)
            yield image
    except WorkbenchError:
        raise
    except MemoryError as failure:
        raise TooLarge("There is not enough memory for this picture.", hint="Use a smaller one.") from failure
    except Exception as failure:
        # A decoder meets hostile bytes: whatever it raises, the picture is to blame.
        log.debug("A picture of type %s could not be decoded.", mime, exc_info=True)
        raise garbled("it cannot be decoded") from failure


def turn_upright(image: Picture) -> None:
    """Turn the pixels as the camera noted. A note that cannot be read counts as none."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except _UNREADABLE_EXIF:
        log.debug("The orientation of a picture could not be read.", exc_info=True)


def to_eight_bits(image: Picture) -> Picture:
    """The same picture as RGB, RGBA or L, 8 bits a channel; alpha stays unless it hides nothing."""
    if image.has_transparency_data:
        full = image.convert("RGBA")
        return full.convert("RGB") if full.getchannel("A").getextrema() == (255, 255) else full
    if image.mode.startswith("I"):
        # Pillow would cut off everything above 255 instead of scaling.
        return image.convert("I").point(lambda value: value / 256).convert("L")
    return image if image.mode in ("RGB", "L") else image.convert("L" if image.mode == "1" else "RGB")


def on_white(picture: Picture) -> Picture:
    """As a format without transparency shows it."""
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
