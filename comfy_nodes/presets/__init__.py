"""What models are told to write, as data: ways to expand a prompt, and ways to describe a picture.

Owns the format of those files, ours beside this module and a person's own in ComfyUI's user folder. For the nodes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from comfy_nodes.host import user_folder
from llm_bridge.errors import BadInput

__all__ = ["Example", "Kind", "Preset", "preset", "preset_names"]

Kind = Literal["expanders", "captions"]

_OWN = Path(__file__).parent
_TYPES: Mapping[str, type] = {"text": str, "negative": bool, "examples": list}


@dataclass(frozen=True, slots=True)
class Example:
    """What a person says, and what the model should make of it."""

    idea: str
    prompt: str
    negative: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """``text`` is the instruction; with ``negative`` the model also writes what the picture must not show."""

    name: str
    text: str
    negative: bool = False
    examples: tuple[Example, ...] = ()


def preset_names(kind: Kind) -> list[str]:
    """All there are, ours first. A file that cannot be used is there under its own name, to be told about when used."""
    return list(_known(kind))


def preset(kind: Kind, name: str) -> Preset:
    """The preset of this name; a person's own goes before ours. Raises: BadInput for none that can be used."""
    known = _known(kind)
    found = known.get(name)
    if found is None:
        raise BadInput(f"There is no preset {name[:64]!r}.", hint=f"There are: {', '.join(known)}.")
    if isinstance(found, BadInput):
        raise found
    return found


def _known(kind: Kind) -> dict[str, Preset | BadInput]:
    known = dict[str, Preset | BadInput]()
    for file in (_OWN / f"{kind}.toml", *_files(user_folder() / kind)):
        try:
            known |= {name: _preset(file, name, told) for name, told in _read(file).items()}
        except BadInput as failure:
            known[file.name] = failure
    return known


def _files(folder: Path) -> list[Path]:
    """A person's own. The list of nodes must not fail for a folder that cannot be entered."""
    try:
        return sorted(folder.glob("*.toml"))
    except OSError:
        return []


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise _unusable(file, str(getattr(failure, "strerror", None) or failure)) from None


def _preset(file: Path, name: str, table: Any) -> Preset:
    if not isinstance(table, dict):
        raise _unusable(file, f"{name[:64]!r} stands in no table")
    told = cast("dict[str, Any]", table)
    for key, value in told.items():
        if not isinstance(value, _TYPES.get(key, ())):
            known = ", ".join(_TYPES)
            raise _unusable(file, f"{key[:64]!r} of {name[:64]!r} is unknown or of the wrong type; known are {known}")
    if not told.get("text", "").strip():
        raise _unusable(file, f"{name[:64]!r} has no text")
    examples = tuple(_example(file, name, each) for each in told.get("examples", []))
    return Preset(name, told["text"].strip(), told.get("negative", False), examples)


def _example(file: Path, name: str, told: Any) -> Example:
    try:
        example = Example(**told)
    except TypeError:
        raise _unusable(file, f"an example of {name[:64]!r} needs an idea and a prompt") from None
    if not all(isinstance(value, str) for value in told.values()):
        raise _unusable(file, f"an example of {name[:64]!r} holds what is no text")
    return example


def _unusable(file: Path, why: str) -> BadInput:
    return BadInput(f"{file.name} cannot be used: {why}.", hint="docs/nodes.md describes it.")
