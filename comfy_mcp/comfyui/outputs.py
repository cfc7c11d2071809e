"""What came out of a prompt: every file of every kind, and text, from the shapes that nodes report them in.

Owns the reading of `outputs` in the history (comfy_api/latest/_ui.py); the kind is decided by the file, not by the key,
since core nodes report videos under `images`.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from comfy_mcp.comfyui.client import FileRef
from comfy_mcp.jobs import Output

__all__ = ["Found", "files_in", "kind_of", "texts_in"]

_IGNORED = frozenset({"animated"})
_MODELS = (".glb", ".gltf", ".obj", ".stl", ".ply", ".usdz", ".fbx")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a node reported and that is still to be fetched."""

    node: str
    ref: FileRef


def kind_of(filename: str) -> tuple[str, str]:
    """Kind and MIME type of a file by its name."""
    if filename.lower().endswith(_MODELS):
        return "model", "model/gltf-binary"
    mime = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    kind = mime.partition("/")[0]
    return (kind if kind in ("image", "video", "audio") else "other"), mime


def _items(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for node, reported in outputs.items():
        # A custom node may report anything.
        for key, value in reported.items() if isinstance(reported, dict) else ():
            if key not in _IGNORED:
                for item in cast(list[Any], value) if isinstance(value, list | tuple) else [value]:
                    yield node, key, item


def files_in(outputs: Mapping[str, Mapping[str, Any]]) -> list[Found]:
    """Every file once, in the order in which the nodes reported them."""
    found: dict[FileRef, Found] = {}
    for node, _, item in _items(outputs):
        if isinstance(item, dict) and "filename" in item:
            told = cast(dict[str, Any], item)
            ref = FileRef(str(told["filename"]), str(told.get("subfolder", "")), str(told.get("type", "output")))
            found.setdefault(ref, Found(node, ref))
    return list(found.values())


def texts_in(outputs: Mapping[str, Mapping[str, Any]]) -> list[Output]:
    """Everything that is no file: text, numbers and what other nodes report."""
    return [
        Output(node, key, item)
        for node, key, item in _items(outputs)
        if isinstance(item, str | int | float) and not isinstance(item, bool)
    ]
