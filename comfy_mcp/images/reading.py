"""Looks at what ComfyUI made, without decoding it: what it is, how large, and whether all of it arrived.

Owns the translation of a broken output into OutputUnreadable. Used by assets and comfyui.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_mcp.errors import InvalidImage, OutputUnreadable
from comfy_mcp.images.gate import admit
from comfy_mcp.images.limits import MADE, Limits
from comfy_mcp.images.recordings import check_recording
from comfy_mcp.images.sniffing import Media, sniff
from comfy_mcp.images.threads import run_quick

__all__ = ["Inspection", "inspect", "measure", "verify"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a whole file is. ``width`` and ``height`` are pixels, None for what is no picture."""

    media: Media
    width: int | None = None
    height: int | None = None
    frames: int = 1


async def inspect(data: bytes, *, limits: Limits = MADE) -> Inspection:
    """Name, check and measure a file of any type.

    A picture is checked to its last byte: every PNG checksum, every part of the others. It is not decoded.

    Raises:
        OutputUnreadable: it is cut off or damaged.
        TooLarge: a picture over ``limits``.
    """
    media = sniff(data)
    try:
        if media.kind == "image":
            return Inspection(media, *await measure(data, limits=limits))
        await run_quick(lambda: check_recording(data, media.mime))
    except InvalidImage as failure:
        raise OutputUnreadable(
            f"What ComfyUI made cannot be read. {failure.message}", hint="Run the job again."
        ) from failure
    return Inspection(media)


async def verify(data: bytes, mime: str) -> None:
    """Check that ``data`` is a whole file of the type ``mime``.

    Raises:
        OutputUnreadable: it is cut off, damaged or something else.
        TooLarge: a picture larger than ComfyUI may make.
    """
    found = await inspect(data)
    if found.media.mime != mime:
        raise OutputUnreadable(f"The file is {found.media.mime}, not {mime}.", hint="Run the job again.")


async def measure(data: bytes, *, limits: Limits = MADE) -> tuple[int, int, int]:
    """Width and height in pixels, and the number of frames, of a whole picture.

    Raises:
        InvalidImage: it is no picture, cut off or damaged.
        TooLarge: it is over ``limits``.
    """
    found = (await admit(data, limits)).structure
    return found.width, found.height, found.frames
