"""Two texts as one that marks what differs, for people who read Markdown, and how much of them is the same.

Pure; the words are matched by `llm_bridge.compare.word_diff`. For the node Text Diff.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_bridge.compare import Piece
from llm_bridge.compare.reports.markdown import inline
from llm_bridge.compare.words import pieces

__all__ = ["kept", "marked"]


def marked(found: Sequence[Piece]) -> str:
    """Markdown: ~~removed~~ and **added**; everything else of both texts is escaped, so that it shows as it is."""
    # What makes a list at the beginning of a line is escaped at that of a piece too, where it only hinders reading.
    return re.sub(r"(?<=[^\s\d\\])\\(?=[-+=.)])", "", "".join(_piece(piece) for piece in found))


def _piece(piece: Piece) -> str:
    if piece.op == "same":
        return _signed(piece.right, "")
    return _signed(piece.left, "~~") + _signed(piece.right, "**")


def _signed(text: str, sign: str) -> str:
    """The signs stand in each line and at words, never at spaces: else Markdown takes them for text."""
    spaced = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r"\S(?:.*\S)?", lambda line: f"{sign}{inline(line[0])}{sign}", spaced)


def kept(found: Sequence[Piece]) -> float:
    """Which part of the words of both texts is the same: 1 for equal texts, 0 when no word is kept."""
    same = sum(_words(piece.left) + _words(piece.right) for piece in found if piece.op == "same")
    whole = sum(_words(piece.left) + _words(piece.right) for piece in found)
    return same / whole if whole else 1.0


def _words(text: str) -> int:
    return len(pieces(text))
