"""Text that comes in many small pieces, held in as little memory as text takes.

A word of its own takes ten times its letters, in a list and in `io.StringIO` alike. Used for what is kept of answers.
"""

from __future__ import annotations

__all__ = ["Gathered"]

_MOST_PIECES = 64


class Gathered:
    """``size`` is its characters so far."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self.size = 0

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.size += len(piece)
        if len(self._pieces) >= _MOST_PIECES:
            # What is whole is not copied again: an answer may have a million pieces.
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    @property
    def text(self) -> str:
        return "".join((*self._blocks, *self._pieces))
