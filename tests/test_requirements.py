"""Every demand of the chat clients is proved by a test or says why not, and every test names a demand that there is."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = tomllib.loads((HERE / "requirements.toml").read_text())


def marked() -> dict[str, list[str]]:
    """The tests by the id of the requirement that they are marked with."""
    found: dict[str, list[str]] = {}
    for path in HERE.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.requirement":
                        found.setdefault(ast.literal_eval(decorator.args[0]), []).append(f"{path.name}::{node.name}")
    return found


def test_every_requirement_has_a_test_or_a_reason() -> None:
    tests = marked()
    assert {name for name, told in REQUIREMENTS.items() if ("later" in told) == (name in tests)} == set()


def test_every_mark_names_a_requirement() -> None:
    assert marked().keys() <= REQUIREMENTS.keys()
    assert list(REQUIREMENTS) == [f"R{number}" for number in range(1, 25)]
