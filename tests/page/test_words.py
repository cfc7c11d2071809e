"""Whatever the pages say, they can say in every language."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import comfy_mcp
from comfy_mcp.ui import LANGUAGES, environment, words_in

ROOT = Path(comfy_mcp.__file__).parent
MARKUP = [ROOT / "ui/markup", ROOT / "proxy/page/markup"]
CODE = [ROOT / "ui", ROOT / "proxy/page"]
SAYING = ("words", "words_of(request)", "plural", "to_say", "say")
"""How code says something."""
OTHERS = [language for language in LANGUAGES if language != "en"]


def said() -> set[str]:
    """Every text that templates and code hand to the words."""
    found: set[str] = set()
    for file in (file for folder in MARKUP for file in folder.rglob("*.html")):
        # The extension for translations adds it.
        told: Any = getattr(environment("en"), "extract_translations")(file.read_text())  # noqa: B009
        for _, _, text in told:
            found.update(part for part in ([text] if isinstance(text, str) else text or ()) if part)
    for file in (file for folder in CODE for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in SAYING:
                found.update(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return found - {*LANGUAGES}


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: str) -> None:
    words = words_in(language)
    assert sorted(text for text in said() if text not in words) == []


@pytest.mark.parametrize("language", OTHERS)
def test_values_keep_their_names(language: str) -> None:
    for text in said():
        values = {part.split(")")[0] for part in text.split("%(")[1:]}
        assert {part.split(")")[0] for part in words_in(language)(text).split("%(")[1:]} == values, text
