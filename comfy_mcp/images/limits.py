"""How large a picture may be, checked before any decoder sees it.

Owns the numbers and their messages; knows nothing of formats. Used inside images, and by whoever wants other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_mcp.errors import TooLarge

__all__ = ["MADE", "UPLOADED", "Limits"]


_HEAVY = frozenset({"image/webp", "image/avif"})
"""Their decoders hold a picture four times over, 17 bytes a pixel; those of the others once or twice."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``pixels`` per frame, ``heavy`` those of WebP and AVIF, ``side`` the longest edge in pixels, ``frames`` of an
    animation; all inclusive."""

    pixels: int
    side: int
    frames: int
    heavy: int = 2**31

    def check(self, width: int, height: int, frames: int = 1, mime: str = "") -> None:
        """Refuse what is larger. Raises TooLarge, with the size in the details."""
        pixels = min(self.heavy, self.pixels) if mime in _HEAVY else self.pixels
        if width * height > pixels or max(width, height) > self.side:
            other = "; a PNG or JPEG may be larger" if pixels < self.pixels else ""
            raise TooLarge(
                f"The picture is {width}×{height} pixels, which is too large.",
                hint=f"Use one of at most {pixels // 1_000_000} megapixels and {self.side} pixels a side{other}.",
                width=width,
                height=height,
            )
        if frames > self.frames:
            raise TooLarge(
                f"The picture has {frames} frames or more, which is too many.",
                hint=f"Use one of at most {self.frames} frames.",
                frames=frames,
            )


MADE = Limits(pixels=100_000_000, side=65_535, frames=10_000)
"""For pictures that ComfyUI made."""

UPLOADED = Limits(pixels=33_000_000, side=16_383, frames=500, heavy=10_000_000)
"""For pictures that people send. 16 384 a side is where WebP ends and where decoders of graphics cards give up. No
picture shall take 256 MB while it is decoded: hence ``heavy``."""
