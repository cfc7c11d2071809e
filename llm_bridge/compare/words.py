"""Text as words, where Chinese and Japanese, which put no spaces between them, count by character.

Pure; for `diff` and `checks`.
"""

from __future__ import annotations

import re

__all__ = ["count_words", "pieces"]

# Kana, Han with its extensions and compatibility forms. Korean puts spaces between words.
_CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHARACTER = re.compile(f"[{_CJK}]")
_PIECE = re.compile(rf"(?:[{_CJK}]|[^\W{_CJK}]+|[^\w\s]|^)\s*")


def count_words(text: str) -> int:
    """Runs between spaces that hold a letter or a digit; each Chinese or Japanese character is one."""
    spaced, characters = _CHARACTER.subn(" ", text)
    return characters + sum(any(sign.isalnum() for sign in word) for word in spaced.split())


def pieces(text: str) -> list[str]:
    """Words and punctuation, each with the space after it; together they are the text."""
    return [piece for piece in _PIECE.findall(text) if piece]
