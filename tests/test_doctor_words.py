"""Whatever the doctor finds, the page can say in every language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from comfy_mcp import doctor
from comfy_mcp.doctor import Finding, Verdict
from comfy_mcp.ui import LANGUAGES, words_in


def told() -> set[str]:
    """Every sentence of the module that is no docstring."""
    tree = ast.parse(Path(doctor.__file__).read_text())
    standing_alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    quoted = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in standing_alone]
    return {node.value for node in quoted if isinstance(node.value, str) and len(node.value.split()) > 1}


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_finding_has_its_words(language: str) -> None:
    words, same = words_in(language), "comfy-workbench backends resume %(name)s"
    found = told()
    assert same in found and len(found) > 15
    missing = [text for text in found - {same} if text not in words]
    assert missing == []


def test_a_finding_says_its_values_and_leaves_what_failures_say_alone() -> None:
    assert str(Finding("a", Verdict.OK, "%(free)s GB.", "Ask %(name)s.", {"free": 3, "name": "b"})) == "3 GB. Ask b."
    assert str(Finding("a", Verdict.BAD, "50% of it failed.")) == "50% of it failed."
