"""Loading packs of custom nodes from folders, as ComfyUI does (nodes.py, load_custom_node).

Owns the import of a pack and what is read from it: classic classes, their titles, the folder of its page's files. A
pack that fails to import is told of in the log and left out. Extensions of the newer form (`comfy_entrypoint`) are not
known here.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_mcp.embedded.node import NodeClass

__all__ = ["Pack", "load_packs"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pack:
    """``name`` is that of its folder; ``web`` is what its page's files are served from, under `/extensions/<name>`."""

    name: str
    folder: Path
    web: Path | None
    nodes: Mapping[str, NodeClass]
    titles: Mapping[str, str]


def load_packs(folders: Sequence[Path]) -> tuple[Pack, ...]:
    """Import each folder; those that fail are left out."""
    found: list[Pack] = []
    for folder in folders:
        try:
            found.append(_load(folder.absolute()))
        except Exception as failure:  # noqa: BLE001 - a pack may raise anything, and the others load all the same
            _log.warning("Cannot import %s module for custom nodes: %s", folder, failure, exc_info=True)
    return tuple(found)


def _load(folder: Path) -> Pack:
    module = _imported(folder)
    nodes: Mapping[str, NodeClass] | None = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if nodes is None:
        raise ImportError("it has no NODE_CLASS_MAPPINGS")
    for cls in nodes.values():
        cls.RELATIVE_PYTHON_MODULE = f"custom_nodes.{folder.name}"
    titles: Mapping[str, str] = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    return Pack(folder.name, folder, _web(folder, module), dict(nodes), dict(titles))


def _imported(folder: Path) -> ModuleType:
    """The module of a pack, under the name that ComfyUI gives it: relative imports work, and two packs never meet."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    if spec is None or spec.loader is None:
        raise ImportError("it has no __init__.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _web(folder: Path, module: ModuleType) -> Path | None:
    told = getattr(module, "WEB_DIRECTORY", None) or _project(folder).get("tool", {}).get("comfy", {}).get("web")
    path = (folder / told).resolve() if told else None
    return path if path is not None and path.is_dir() else None


def _project(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
