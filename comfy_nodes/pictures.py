"""ComfyUI's batches of pictures to files and back: [B, H, W, C], float32, 0 to 1.

A batch is a tensor of torch where torch is loaded, as in ComfyUI, and an array of numpy elsewhere. CPU-bound: who
serves others calls it in a thread.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from llm_bridge.errors import BadInput, NotInstalled
from llm_bridge.messages import Image

__all__ = ["batch_of", "images_of"]

MOST_PIXELS = 1536
"""The longest side of a picture that a model is shown: vision models shrink larger ones themselves."""


def images_of(batch: Any, most: int = MOST_PIXELS) -> tuple[Image, ...]:
    """Every picture of a batch as PNG, shrunk to ``most`` pixels on its longest side.

    Raises: BadInput when it is no batch of pictures.
    """
    numpy, pillow = _libraries()
    array = _array(numpy, batch)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise BadInput(f"That is no batch of pictures: its shape is {array.shape}.", hint="Link an IMAGE.")
    levels = (numpy.nan_to_num(array).clip(0, 1) * 255).round().astype("uint8")
    return tuple(_encoded(pillow.fromarray(level[..., 0] if level.shape[-1] == 1 else level), most) for level in levels)


def _array(numpy: Any, batch: Any) -> Any:
    """As float32. Of a tensor by way of torch's own, since numpy has no bfloat16."""
    try:
        return numpy.asarray(batch.detach().float().cpu() if hasattr(batch, "detach") else batch).astype("float32")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind = type(batch).__name__
        raise BadInput(f"That is no batch of pictures: {kind} of no one shape.", hint="Link an IMAGE.") from None


def _encoded(picture: Any, most: int) -> Image:
    picture.thumbnail((most, most))
    target = BytesIO()
    picture.save(target, "PNG", compress_level=1)
    return Image(target.getvalue())


def batch_of(files: Sequence[bytes]) -> Any:
    """A batch of encoded pictures of one size; smaller ones get a border in the colour of their first pixel."""
    numpy, pillow = _libraries()
    pictures = [pillow.open(BytesIO(file)).convert("RGB") for file in files]
    width, height = (max(picture.size[axis] for picture in pictures) for axis in (0, 1))
    levels = numpy.stack([numpy.asarray(_bordered(pillow, picture, (width, height))) for picture in pictures])
    array = levels.astype("float32") / 255.0
    torch = sys.modules.get("torch")
    return array if torch is None else torch.from_numpy(array)


def _bordered(pillow: Any, picture: Any, size: tuple[int, int]) -> Any:
    if picture.size == size:
        return picture
    canvas = pillow.new("RGB", size, picture.getpixel((0, 0)))
    canvas.paste(picture, (0, 0))
    return canvas


def _libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import PIL.Image
    except ImportError:
        raise NotInstalled(
            "Pictures need numpy and Pillow.",
            hint="Run `python -m pip install numpy pillow` with the Python that runs ComfyUI.",
        ) from None
    return numpy, PIL.Image
