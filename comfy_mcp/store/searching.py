"""Texts as the index of words takes them. Used inside the store, and by SQL under the name of the function."""

from __future__ import annotations

import re

__all__ = ["searchable"]

_LETTERS = re.compile("([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
_NOWHERE = re.compile("[\0\ud800-\udfff]")
_MOST = 20_000


def searchable(text: object) -> str:
    """The text, its end left out where it is very long. Chinese, Japanese and Korean letters are words of their own:
    those scripts have no spaces, and people look for two letters out of the middle."""
    return "" if text is None else _LETTERS.sub(r" \1 ", _NOWHERE.sub(" ", str(text)[:_MOST])).strip()
