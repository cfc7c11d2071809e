"""What came out of a task on a picture, wherever it ran. Used inside images."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Made"]


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes of the type ``mime``, the picture's own when it may stay as it came; its size in pixels, and its frames."""

    data: bytes
    mime: str
    width: int = 0
    height: int = 0
    frames: int = 1
