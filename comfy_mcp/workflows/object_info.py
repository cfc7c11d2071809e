"""What a ComfyUI offers: its node classes with inputs, ranges and choices, read from `GET /object_info`.

Owns the two spellings of a choice list and the order of widgets; no workflow. Anyone in this package may use it.
"""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from comfy_mcp.errors import MissingNode, nearest

__all__ = ["InputInfo", "NodeInfo", "ObjectInfo"]

_WIDGETS = frozenset(
    [
        "INT",
        "FLOAT",
        "STRING",
        "BOOLEAN",
        "COMBO",
        "MARKDOWN",
        "COLOR",
        "IMAGEUPLOAD",
        "FILEUPLOAD",
        "IMAGECOMPARE",
        "TREESELECT",
        "MULTISELECT",
        "CHART",
        "GALLERIA",
        "SELECTBUTTON",
        "TEXTAREA",
        "LOAD_3D",
        "LOAD_3D_ANIMATION",
        "PREVIEW_3D",
        "PREVIEW_3D_ANIMATION",
        "AUDIO_UI",
        "AUDIOUPLOAD",
        "AUDIO_RECORD",
        "WEBCAM",
    ]
)
_SEEDS = frozenset({"seed", "noise_seed"})


@dataclass(frozen=True)
class InputInfo:
    """One input of a node. ``type`` is INT, FLOAT, STRING, BOOLEAN, COMBO or the type of a socket."""

    name: str
    type: str
    required: bool
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    choices: tuple[Any, ...] | None = None

    @property
    def default(self) -> Any:
        return self.options.get("default")

    @property
    def min(self) -> int | float | None:
        return self.options.get("min")

    @property
    def max(self) -> int | float | None:
        return self.options.get("max")

    @property
    def step(self) -> int | float | None:
        return self.options.get("step")

    @property
    def is_widget(self) -> bool:
        """Whether the front end shows a field for it, so that it has a place among the widget values."""
        kind = str(self.options.get("widgetType") or self.type)
        return kind in _WIDGETS and not self.options.get("forceInput")

    @property
    def control_after_generate(self) -> bool:
        """Whether a "control after generate" value follows it among the widget values."""
        if self.type not in ("INT", "COMBO"):
            return False
        if "control_after_generate" in self.options:
            return bool(self.options["control_after_generate"])
        return self.type == "INT" and self.name in _SEEDS


@dataclass(frozen=True)
class NodeInfo:
    """One node class. ``inputs`` are in the order of its widgets; ``outputs`` are types."""

    name: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[str, ...]
    output_node: bool
    display_name: str

    @cached_property
    def by_name(self) -> dict[str, InputInfo]:
        return {each.name: each for each in self.inputs}

    def input(self, name: str) -> InputInfo | None:
        return self.by_name.get(name)


class ObjectInfo:
    """A whole answer of `GET /object_info`. Nodes are read when they are first asked for."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._read: dict[str, NodeInfo] = {}

    @property
    def classes(self) -> KeysView[str]:
        return self._raw.keys()

    def has(self, name: str) -> bool:
        return name in self._raw

    def node(self, name: str) -> NodeInfo:
        """The class of this name.

        Raises:
            MissingNode: this ComfyUI does not have it; the hint names the nearest ones.
        """
        if name not in self._read:
            if name not in self._raw:
                alike = nearest(name, self._raw)
                hint = f"Nearest: {', '.join(alike)}. " if alike else ""
                raise MissingNode(
                    f"ComfyUI has no node {name!r}.",
                    hint=f"{hint}Install the node pack that brings it, then restart ComfyUI.",
                    node_class=name,
                    nearest=alike,
                )
            self._read[name] = _node(name, self._raw[name])
        return self._read[name]

    def choices(self, reference: str) -> tuple[Any, ...] | None:
        """The choices of `"Class.input"`, or None when this ComfyUI has no such input or it is not a choice."""
        name, _, input_name = reference.rpartition(".")
        if not self.has(name):
            return None
        found = self.node(name).input(input_name)
        return None if found is None else found.choices


def _node(name: str, raw: Mapping[str, Any]) -> NodeInfo:
    sections = cast(Mapping[str, Mapping[str, Any]], raw.get("input") or {})
    order = cast(Mapping[str, list[str]], raw.get("input_order") or {})
    inputs: list[InputInfo] = []
    for section in ("required", "optional"):
        declared = sections.get(section) or {}
        names = [each for each in order.get(section, ()) if each in declared]
        names += [each for each in declared if each not in names]
        inputs += [_input(each, declared[each], section == "required") for each in names]
    outputs = tuple("COMBO" if isinstance(kind, list) else str(kind) for kind in raw.get("output") or ())
    return NodeInfo(name, tuple(inputs), outputs, bool(raw.get("output_node")), str(raw.get("display_name") or name))


def _input(name: str, spec: Any, required: bool) -> InputInfo:
    """Old choices are a list in the place of the type, new ones an option of the type COMBO."""
    parts: list[Any] = list(cast(list[Any], spec)) if isinstance(spec, list | tuple) and spec else [spec]
    kind: Any = parts[0]
    options = cast(dict[str, Any], parts[1]) if len(parts) > 1 and isinstance(parts[1], dict) else dict[str, Any]()
    if isinstance(kind, list):
        return InputInfo(name, "COMBO", required, options, tuple(cast(list[Any], kind)))
    if kind == "COMBO":
        offered = options.get("options")
        listed = tuple(cast(list[Any], offered)) if isinstance(offered, list) else None
        return InputInfo(name, "COMBO", required, options, listed)
    return InputInfo(name, str(kind), required, options)
