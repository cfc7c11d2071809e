"""The node pack as a folder that ComfyUI loads and its registry takes: the nodes, the bridge inside, and metadata.

Owns what is in it, how imports become relative, and what may be replaced. What the nodes do is `comfy_nodes`' own,
which is only read here, never imported. Called by the command line.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import tempfile
import tomllib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

import tomli_w

import comfy_mcp
from comfy_mcp.errors import BadRequest, InternalError, StorageUnavailable

__all__ = ["LaidOut", "lay_out", "pack_metadata", "place_in", "with_relative_imports"]

_NAME = "comfyui-workbench"
_HOME = Path(__file__).resolve().parents[1]
_PACKAGES = ("comfy_nodes", "llm_bridge")
# ComfyUI and its registry look for these at the root of a pack.
_AT_THE_ROOT = ("README.md", "icon.png", "example_workflows")
# Every ComfyUI has them, in versions of its own that a node pack must not change.
_OF_COMFYUI = ("aiohttp", "numpy", "pillow")
_LIST = ".installed-files"
_ENTRY = '''\
"""Nodes that call local language models and compare them. `comfy-workbench install-nodes` lays this folder out."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):
    raise ImportError("comfyui-workbench needs a ComfyUI that runs on Python 3.11 or newer")
try:
    from .comfy_nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
except ModuleNotFoundError as missing:
    if str(missing.name).startswith(__name__):
        raise ImportError(f"{missing}. The pack is damaged: install it again") from missing
    wanted = Path(__file__).with_name("requirements.txt")
    raise ImportError(
        f'{missing}. With the Python that runs ComfyUI: python -m pip install -r "{wanted}"', name=missing.name
    ) from missing

WEB_DIRECTORY = "./comfy_nodes/web"
__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
'''

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaidOut:
    """``replaced`` tells that an earlier one stood there."""

    folder: Path
    version: str
    replaced: bool


def place_in(comfyui: Path) -> Path:
    """Where a ComfyUI, or a base directory of one, has our pack.

    Raises:
        BadRequest: the folder is neither.
        StorageUnavailable: it cannot be read.
    """
    with _disk(comfyui):
        if _is_comfyui(comfyui):
            return comfyui / "custom_nodes" / _NAME
        near = [folder for folder in (comfyui / "ComfyUI", comfyui.parent) if _is_comfyui(folder)]
    give = (
        str(near[0])
        if near
        else "the folder of ComfyUI or its base directory, which has custom_nodes in it: make one if it is new"
    )
    raise BadRequest(f"{comfyui} is no ComfyUI.", hint=f"Give {give}.")


def lay_out(folder: Path) -> LaidOut:
    """Make `folder` the pack. What ComfyUI finds there is an old one or a new one, never half of one.

    Raises:
        BadRequest: something stands there that was not installed by us, or a file of a person's beside ours.
        StorageUnavailable: the disk refuses; what stood there still does.
    """
    files = _files()
    with _disk(folder):
        replaced = _may_be_replaced(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # ComfyUI passes over what ends so.
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{_NAME}-", suffix=".disabled", ignore_cleanup_errors=True
        ) as beside:
            _write(files, Path(beside) / "new")
            _swap(Path(beside) / "new", folder, Path(beside) / "old")
    return LaidOut(folder, comfy_mcp.__version__, replaced)


def pack_metadata(ours: dict[str, Any]) -> dict[str, Any]:
    """The pyproject.toml of the pack from that of the project."""
    project, comfy = ours["project"], dict(ours["tool"]["comfy"])
    wanted = [*project["dependencies"], *project["optional-dependencies"]["nodes"]]
    urls, icon = project.get("urls", {}), comfy.pop("Icon")
    told = {
        "name": _NAME,
        "version": comfy_mcp.__version__,
        "description": comfy.pop("Description"),
        "license": {"file": "LICENSE"},
        "requires-python": project["requires-python"],
        "dependencies": [each for each in wanted if not each.startswith(_OF_COMFYUI)],
    }
    if repository := urls.get("Repository"):
        told["urls"] = urls
        comfy["Icon"] = f"{repository}/raw/HEAD/{icon}"
    return {"project": told, "tool": {"comfy": comfy}}


def with_relative_imports(source: bytes, path: PurePosixPath) -> bytes:
    """The source of the module at `path` in the pack, with imports of its packages made relative; all else stays.

    Raises:
        InternalError: an import in a form that is not known here.
    """
    lines = source.splitlines(keepends=True)
    found = [(each.lineno - 1, each.col_offset, each) for each in ast.walk(ast.parse(source)) if _is_of_ours(each)]
    for row, start, each in sorted(found, key=lambda place: place[:2], reverse=True):
        old, new = _rewritten(each, "." * len(path.parts))
        # A program that is run as a file has no package to be relative to.
        if not old or not lines[row].startswith(old, start) or b'"__main__"' in source:
            _log.error("%s:%d: this import cannot be made relative", path, row + 1)
            raise InternalError
        lines[row] = lines[row][:start] + new + lines[row][start + len(old) :]
    return b"".join(lines)


def _is_of_ours(node: ast.AST) -> TypeGuard[ast.stmt | ast.expr]:
    match node:
        case ast.ImportFrom(module=str(name), level=0):
            names = [name]
        case ast.Import(names=aliases):
            names = [each.name for each in aliases]
        case ast.Call() if _does_import(node):
            names = [str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)]
        case _:
            return False
    return any(name.partition(".")[0] in _PACKAGES for name in names)


def _does_import(call: ast.Call) -> bool:
    return getattr(call.func, "attr", getattr(call.func, "id", None)) in ("import_module", "__import__")


def _rewritten(node: ast.stmt | ast.expr, dots: str) -> tuple[bytes, bytes]:
    """What the import starts with and what it shall start with; nothing for a form that is not known."""
    match node:
        case ast.ImportFrom(module=str(module)):
            return f"from {module} import".encode(), f"from {dots}{module} import".encode()
        case ast.Import(names=[ast.alias(name=name)]) if name in _PACKAGES:
            return f"import {name}".encode(), f"from {dots} import {name}".encode()
        case _:
            return b"", b""


@contextlib.contextmanager
def _disk(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as failure:
        told = f"{folder} cannot be read or written: {failure.strerror}."
        raise StorageUnavailable(told, hint="Nothing was changed. See to the folder, and try again.") from failure


def _is_comfyui(folder: Path) -> bool:
    return (folder / "custom_nodes").is_dir() or ((folder / "main.py").is_file() and (folder / "comfy").is_dir())


def _files() -> dict[PurePosixPath, bytes]:
    """All of the pack by its path in it."""
    files = dict(_of_packages())
    shipped = Path(__file__).with_name("shipped")
    root = shipped if shipped.is_dir() else _HOME
    files[PurePosixPath("__init__.py")] = _ENTRY.encode()
    for name in ("LICENSE", ".comfyignore"):
        files[PurePosixPath(name)] = (root / name).read_bytes()
    metadata = pack_metadata(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")))
    files[PurePosixPath("pyproject.toml")] = tomli_w.dumps(metadata).encode()
    files[PurePosixPath("requirements.txt")] = "".join(
        f"{each}\n" for each in metadata["project"]["dependencies"]
    ).encode()
    files[PurePosixPath(_LIST)] = "".join(f"{path}\n" for path in sorted({*files, PurePosixPath(_LIST)})).encode()
    return files


def _of_packages() -> Iterator[tuple[PurePosixPath, bytes]]:
    for package in _PACKAGES:
        for file in sorted((_HOME / package).rglob("*")):
            path = PurePosixPath(file.relative_to(_HOME).as_posix())
            if not file.is_file() or "__pycache__" in path.parts:
                continue
            if path.parts[0] == "comfy_nodes" and path.parts[1] in _AT_THE_ROOT:
                yield path.relative_to("comfy_nodes"), file.read_bytes()
            elif path.suffix == ".py":
                yield path, with_relative_imports(file.read_bytes(), path)
            else:
                yield path, file.read_bytes()


def _may_be_replaced(folder: Path) -> bool:
    """Whether an earlier pack stands there; False where nothing does."""
    if not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        return False
    if folder.is_symlink() or not (folder / _LIST).is_file():
        raise BadRequest(
            f"{folder} was not made by this command, so it stays as it is.",
            hint="Move it away, or update it the way it was installed.",
        )
    ours = set((folder / _LIST).read_text(encoding="utf-8", errors="replace").splitlines())
    there = (path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    theirs = sorted(str(path) for path in there if path.as_posix() not in ours and "__pycache__" not in path.parts)
    if theirs:
        names = ", ".join(theirs[:5]) + (", …" if theirs[5:] else "")
        raise BadRequest(f"{folder} holds what was not installed: {names}.", hint="Move it away, and install again.")
    return True


def _write(files: dict[PurePosixPath, bytes], folder: Path) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _swap(new: Path, folder: Path, old: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        new.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
