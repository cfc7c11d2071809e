"""What differs between two answers, word by word.

Pure. Long texts that are hard to match take up to a second, so a server calls it in a thread. For the Markdown report;
the HTML page compares in the browser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal

from llm_bridge.compare.words import pieces

__all__ = ["Piece", "word_diff"]

_Op = Literal["same", "changed", "removed", "added"]
_OPS: dict[str, _Op] = {"equal": "same", "replace": "changed", "delete": "removed", "insert": "added"}

_MOST_PIECES = 2000
"""Texts with more words than this are compared by line; with more lines, as a whole."""

_MOST_MEETINGS = 50_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of both texts. What is the same may differ in its spaces."""

    op: _Op
    left: str
    right: str


def word_diff(left: str, right: str) -> tuple[Piece, ...]:
    """The pieces in order: all of ``left`` and all of ``right``, nothing twice. Chinese and Japanese by character."""
    for split in (pieces, _lines):
        lefts, rights = split(left), split(right)
        if max(len(lefts), len(rights)) <= _MOST_PIECES:
            return _matched(lefts, rights)
    same = left == right
    return (Piece("same" if same else "changed", left, right),)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _matched(lefts: Sequence[str], rights: Sequence[str]) -> tuple[Piece, ...]:
    """The equal end is cut off first, as difflib finds an equal start by itself, but no end of frequent words."""
    bare = [piece.strip() for piece in lefts], [piece.strip() for piece in rights]
    tail = _alike(bare[0][::-1], bare[1][::-1])
    ends = len(lefts) - tail, len(rights) - tail
    found = _opcodes(bare[0][: ends[0]], bare[1][: ends[1]])
    if tail:
        found = [*found, ("equal", ends[0], len(lefts), ends[1], len(rights))]
    return tuple(Piece(_OPS[op], "".join(lefts[a:b]), "".join(rights[c:d])) for op, a, b, c, d in found)


def _alike(left: Sequence[str], right: Sequence[str]) -> int:
    """How many from the start are equal."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _opcodes(left: Sequence[str], right: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Looks past words that make up more than 1 % of a text only when there would be too much to try."""
    often = Counter(right)
    meetings = sum(often[word] for word in left)
    return SequenceMatcher(None, left, right, autojunk=meetings > _MOST_MEETINGS).get_opcodes()
