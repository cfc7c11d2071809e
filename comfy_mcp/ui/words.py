"""The words of the pages: English as it stands in the templates, and what it is in other languages.

Owns the lookup. A language is a folder of TOML files below ``words``, each a table from the English to the other; what
is not there is shown in English, and a test tells what is missing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["LANGUAGES", "Words", "to_say", "words_in"]

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Every language by its code, in its own name. The first is what the templates are written in."""


class Words:
    """The words of one language; call it with the English. Values go in by name, as ``%(name)s``."""

    def __init__(self, language: str, table: Mapping[str, str]) -> None:
        self.language = language
        self._table = table

    def __call__(self, english: str, **values: Any) -> str:
        told = self._table.get(english, english)
        return told % values if values else told

    def plural(self, one: str, many: str, number: int) -> str:
        """``one`` where the number is one and the language tells that apart, else ``many``."""
        return self(one if number == 1 and many not in self._table else many)

    def __contains__(self, english: str) -> bool:
        return self.language == next(iter(LANGUAGES)) or english in self._table


def to_say(english: str) -> str:
    """The text itself: it marks one that is given to the words elsewhere, for the test that looks for their
    translation."""
    return english


@cache
def words_in(language: str) -> Words:
    """The words of a language; those of the first where there is no such language."""
    if language not in LANGUAGES or language == next(iter(LANGUAGES)):
        return Words(next(iter(LANGUAGES)), {})
    table: dict[str, str] = {}
    for file in sorted(files("comfy_mcp.ui").joinpath("words", language).iterdir(), key=lambda each: each.name):
        table |= tomllib.loads(file.read_text(encoding="utf-8"))
    return Words(language, table)
