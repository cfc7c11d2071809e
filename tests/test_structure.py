"""The shape of the code: layers, sizes, public names, isolated imports. What a reader relies on stays true."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("comfy_mcp", "comfy_nodes", "llm_bridge")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages([str(ROOT / package)], package + ".")
    if not module.name.endswith("__main__")
)
MOST_LINES = 400
MOST_FUNCTION_LINES = 60


def test_layers_import_downwards_only() -> None:
    # In a process of its own: it configures logging, and so silences every logger of the others' tests.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    command = [sys.executable, "-c", code, str(ROOT / "importlinter.ini")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MOST_FUNCTION_LINES, node.name
            assert len(node.args.args) + len(node.args.posonlyargs) <= 6, node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_sorted(name: str) -> None:
    module = importlib.import_module(name)
    public: list[str] = getattr(module, "__all__", [])
    assert [missing for missing in public if not hasattr(module, missing)] == []
    assert public == sorted(public, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


@pytest.mark.parametrize("package", ["llm_bridge", "comfy_nodes"])
def test_bridge_and_nodes_import_alone(package: str) -> None:
    """Without ComfyUI, torch, numpy and everything of the extra `server`."""
    blocked = ("torch", "numpy", "fastapi", "mcp", "pydantic", "PIL", "comfy_mcp", "comfy", "nodes")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_no_process_is_started_through_a_shell_and_nothing_is_evaluated() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert not (isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}), path
                assert all(keyword.arg != "shell" for keyword in node.keywords), path


def test_the_lock_names_no_registry() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if "://" in line or line.startswith(("-i", "--index", "--find"))] == []
    assert sum("--hash=sha256:" in line for line in lines) > 100
