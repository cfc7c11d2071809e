"""What a ComfyUI offers: its node classes with inputs, ranges and choices, read from `GET /object_info`.

Owns the two spellings of a choice list, the order of widgets and the inputs that unfold into others; no workflow.
Anyone in this package may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from comfy_mcp.errors import MissingNode

__all__ = ["InputInfo", "NodeInfo", "ObjectInfo"]

_PLAIN = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "MARKDOWN", "TEXTAREA")
_CHOOSERS = ("CHART", "COLOR", "COLORS", "CURVE", "GALLERIA", "MULTISELECT", "RANGE", "SELECTBUTTON", "TREESELECT")
_PAINTERS = ("BOUNDING_BOX", "BOUNDING_BOXES", "COMPOSITOR", "IMAGECOMPARE", "PAINTER", "VIDEO_EDIT")
_PREVIEWS = ("LIGHT_INFO_PREVIEW", "PREVIEW_3D", "PREVIEW_3D_ANIMATION", "RESOLUTION_PREVIEW")
_UPLOADS = ("AUDIOUPLOAD", "AUDIO_UI", "FILEUPLOAD", "IMAGEUPLOAD")
_CAPTURES = ("AUDIO_RECORD", "LOAD_3D", "LOAD_3D_ANIMATION", "WEBCAM")
_UNSAVED = ("IMAGECOMPARE", "RESOLUTION_PREVIEW")
_WIDGETS = frozenset(_PLAIN + _CHOOSERS + _PAINTERS + _PREVIEWS + _UPLOADS + _CAPTURES)
_UPLOAD_OPTIONS = ("image_upload", "video_upload", "audio_upload", "file_upload", "animated_image_upload")
_SEEDS = frozenset({"seed", "noise_seed"})
_BRANCHING = "COMFY_DYNAMICCOMBO_V3"
_GROUPS = frozenset({"COMFY_AUTOGROW_V3", "COMFY_DYNAMICGROUP_V3"})
_MATCHING = "COMFY_MATCHTYPE_V3"
_OWN = re.compile(r"(nodes|comfy_extras\..+|comfy_api_nodes\..+)\Z")


@dataclass(frozen=True)
class InputInfo:
    """One input of a node. ``type`` is INT, FLOAT, STRING, BOOLEAN, COMBO or the type of a socket.

    ``branches`` belong to a choice that brings further inputs: for each choice the inputs it adds, named
    `"<this input>.<their name>"`.
    """

    name: str
    type: str
    required: bool
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    choices: tuple[Any, ...] | None = None
    branches: Mapping[str, tuple[InputInfo, ...]] = field(default_factory=dict[str, "tuple[InputInfo, ...]"])

    @property
    def default(self) -> Any:
        return self.options.get("default")

    @property
    def min(self) -> int | float | None:
        return _number(self.options.get("min"))

    @property
    def max(self) -> int | float | None:
        return _number(self.options.get("max"))

    @property
    def step(self) -> int | float | None:
        return _number(self.options.get("step"))

    @property
    def is_widget(self) -> bool:
        """Whether the front end shows a field for it instead of a socket."""
        kind = str(self.options.get("widgetType") or self.type)
        return kind in _WIDGETS and not self.forced

    @property
    def is_saved(self) -> bool:
        """Whether it has a place among the widget values of a saved workflow."""
        return self.is_widget and self.type not in _UNSAVED

    @property
    def forced(self) -> bool:
        """Whether a value of a widget's type comes from a link only."""
        return bool(self.options.get("forceInput"))

    @property
    def is_group(self) -> bool:
        """Whether it is never given itself, only inputs named `"<this input>.<something>"`."""
        return self.type in _GROUPS

    @property
    def is_capture(self) -> bool:
        """Whether its value is made in the browser: a photo, a recording, a view of a 3D scene."""
        return self.type in _CAPTURES

    @property
    def takes_upload(self) -> bool:
        """Whether it names a file that was put into ComfyUI's input folder."""
        return any(self.options.get(key) for key in _UPLOAD_OPTIONS)

    @property
    def is_plain(self) -> bool:
        """Whether it is a number, a text, a switch or a choice, and no special field."""
        return self.type in _PLAIN

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
    """One node class. ``inputs`` are in the order of its widgets; ``outputs`` are types. One that ``is_open`` may take
    inputs that it does not name, as some of node packs do; ComfyUI's own never do."""

    name: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[str, ...]
    output_node: bool
    display_name: str
    is_open: bool = True

    @cached_property
    def by_name(self) -> dict[str, InputInfo]:
        return {each.name: each for each in self.inputs}

    def input(self, name: str) -> InputInfo | None:
        return self.by_name.get(name)

    def takes(self, name: str) -> bool:
        """Whether an input of this name is its own, or one that a group or a choice of it brings."""
        above = self.by_name.get(name.partition(".")[0])
        return name in self.by_name or (above is not None and (above.is_group or bool(above.branches)))

    def unfolded(self, given: Mapping[str, Any]) -> Iterator[InputInfo]:
        """Its inputs, and those that the choices made in ``given`` bring along."""
        return _unfolded(self.inputs, given)


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
            self.require([name])
            self._read[name] = _node(name, _table(self._raw[name]))
        return self._read[name]

    def require(self, names: Iterable[str]) -> None:
        """Refuse what needs other classes than there are.

        Raises:
            MissingNode: all that are missing are named, and how to get them.
        """
        if missing := sorted({name for name in names if name not in self._raw}):
            raise MissingNode.of(missing, self._raw)

    def raw(self, name: str) -> dict[str, Any]:
        """What ComfyUI itself says of a class that it has."""
        return _table(self._raw[name])

    def choices(self, reference: str) -> tuple[Any, ...] | None:
        """The choices of `"Class.input"`, or None when this ComfyUI has no such input or it is not a choice."""
        name, _, input_name = reference.rpartition(".")
        if not self.has(name):
            return None
        found = self.node(name).input(input_name)
        return None if found is None else found.choices


def _unfolded(inputs: tuple[InputInfo, ...], given: Mapping[str, Any]) -> Iterator[InputInfo]:
    for told in inputs:
        yield told
        choice = given.get(told.name)
        if isinstance(choice, str) and choice in told.branches:
            yield from _unfolded(told.branches[choice], given)


def _node(name: str, raw: Mapping[str, Any]) -> NodeInfo:
    sections, order = _table(raw.get("input")), _table(raw.get("input_order"))
    outputs = tuple(_output(kind) for kind in _list(raw.get("output")))
    display_name = str(raw.get("display_name") or name)
    is_open = not _OWN.match(str(raw.get("python_module")))
    return NodeInfo(name, _inputs(sections, order), outputs, bool(raw.get("output_node")), display_name, is_open)


def _inputs(sections: Mapping[str, Any], order: Mapping[str, Any], prefix: str = "") -> tuple[InputInfo, ...]:
    inputs: list[InputInfo] = []
    for section in ("required", "optional"):
        declared = _table(sections.get(section))
        names = [str(each) for each in _list(order.get(section)) if each in declared]
        names += [each for each in declared if each not in names]
        inputs += [_input(f"{prefix}{each}", declared[each], section == "required") for each in names]
    return tuple(inputs)


def _output(kind: Any) -> str:
    """An output that takes the type of what is plugged in can be anything."""
    if isinstance(kind, list):
        return "COMBO"
    return "*" if kind == _MATCHING else str(kind)


def _input(name: str, spec: Any, required: bool) -> InputInfo:
    """Old choices are a list in the place of the type, new ones an option of the type COMBO."""
    parts = _list(spec) or [spec]
    kind, options = parts[0], _table(parts[1] if len(parts) > 1 else None)
    if isinstance(kind, list):
        return InputInfo(name, "COMBO", required, options, tuple(_list(kind)))
    if kind == "COMBO":
        offered = options.get("options")
        return InputInfo(name, "COMBO", required, options, tuple(_list(offered)) if offered is not None else None)
    if kind == _BRANCHING:
        branches = {
            str(each.get("key")): _inputs(_table(each.get("inputs")), {}, f"{name}.")
            for each in map(_table, _list(options.get("options")))
        }
        return InputInfo(name, "COMBO", required, options, tuple(branches), branches)
    if kind == _MATCHING:
        allowed = _table(options.get("template")).get("allowed_types")
        return InputInfo(name, str(allowed or "*"), required, options)
    return InputInfo(name, str(kind), required, options)


def _table(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return list(cast(list[Any], value)) if isinstance(value, list | tuple) else []


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
