"""The form of a template, made from its description: which control each parameter has, and what a posted form means.

Owns the way from `describe` to fields and from posted texts back to values; the markup is `ui/form.html`. Knows nothing
of requests or jobs: the page of the front door and the page in chats both call it. Ranges are checked when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from comfy_mcp.errors import InvalidParameter

__all__ = ["ONLY_SET", "Choice", "Field", "Form", "Group", "form_of", "values_of"]

ONLY_SET = "only-set"
"""A posted form that has this field holds nothing but what the person set. No parameter can be called so."""

_SHAPES = {"1:1": (1, 1), "4:3": (4, 3), "3:2": (3, 2), "16:9": (16, 9), "3:4": (3, 4), "2:3": (2, 3), "9:16": (9, 16)}
"""What a size can be brought to with one press: width to height."""

_MOST_SELECTED = 12
_MOST_SLID = 100_000
_WHOLE = re.compile(r"[+-]?\d{1,25}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
_TRUE, _FALSE = ("true", "on", "1"), ("false", "off", "0", "")
_KINDS = {
    "text": "text",
    "int": "number",
    "float": "number",
    "seed": "seed",
    "bool": "switch",
    "image": "picture",
    "mask": "picture",
}
"""The control of each type; those with choices are in `_kind`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several. ``loaded`` models start at once."""

    value: str
    title: str
    description: str = ""
    thumbnail: str | None = None
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter as a control. All values are texts as a form posts them, "" for none.

    ``kind`` names the control; ``given``: the person set it; ``locked``: an administrator did, for good. A ``size`` has
    the fields for width and height as its ``parts``. ``picture`` is the address of the picture that it holds now.
    Besides its ``choices`` there are so many ``more``, which whoever shows the form has no room for.
    """

    name: str
    kind: str
    type: str
    label: str
    help: str = ""
    group: str = ""
    value: str = ""
    default: str = ""
    low: str = ""
    high: str = ""
    step: str = ""
    slides: bool = False
    required: bool = False
    given: bool = False
    locked: bool = False
    choices: tuple[Choice, ...] = ()
    more: int = 0
    parts: tuple[Field, ...] = ()
    picture: str | None = None

    @property
    def differs(self) -> bool:
        """Whether there is something to take back."""
        return self.value != self.default and not self.locked

    @property
    def chosen(self) -> str:
        """What the choice of now is called."""
        return next((choice.title for choice in self.choices if choice.value == self.value), self.value)

    @property
    def shapes(self) -> tuple[tuple[str, bool], ...]:
        """The shapes of a size, and whether it has each now, as near as the grid of its sides lets it."""
        if not all(_WHOLE.fullmatch(part.value) for part in self.parts):
            return tuple((shape, False) for shape in _SHAPES)
        wide, high = (int(part.value) for part in self.parts)
        off = {shape: abs(wide * down - high * across) / (across + down) for shape, (across, down) in _SHAPES.items()}
        least, grid = min(off.values()), float(self.parts[0].step or 1)
        return tuple((shape, each == least and each < grid / 2) for shape, each in off.items())


@dataclass(frozen=True, slots=True)
class Group:
    """Fields under one heading, "" for none."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a template: what is shown, and what is folded away."""

    template: str
    groups: tuple[Group, ...]
    advanced: tuple[Group, ...]

    def field(self, name: str) -> Field | None:
        """The field of this name."""
        for group in (*self.groups, *self.advanced):
            for field in (part for each in group.fields for part in (each, *each.parts)):
                if field.name == name:
                    return field
        return None


def form_of(
    described: Mapping[str, Any],
    *,
    styles: Sequence[Mapping[str, Any]] = (),
    values: Mapping[str, Any] = {},
    locked: Mapping[str, Any] = {},
    loaded: Iterable[str] = (),
    pictures: Mapping[str, str] = {},
    most: int | None = None,
) -> Form:
    """The form of a template as `describe` tells of it.

    ``styles`` have id, title, description and thumbnail (an address or None); ``values`` are what the person set, the
    style among them; ``locked`` what an administrator fixed; ``loaded`` names of models; ``pictures`` addresses to show
    for parameters that hold one. Of the choices of each parameter no more than ``most`` are listed, and what is set and
    what is the default.
    """
    parameters: list[Mapping[str, Any]] = list(described["parameters"])
    ready = frozenset(loaded)
    fields = (_field(told, values, locked, ready, pictures) for told in parameters)
    made = [(_listing(field, most), bool(told["advanced"])) for field, told in zip(fields, parameters, strict=True)]
    if described["style"] and styles:
        place = next((at for at, (field, folded) in enumerate(made) if field.group or folded), len(made))
        made.insert(place, (_style_field(styles, values, locked), False))
    shown, folded = ([field for field, advanced in made if advanced is wanted] for wanted in (False, True))
    return Form(str(described["id"]), _grouped(shown), _grouped(folded))


def values_of(described: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The values in the fields of a posted form, typed; what is empty or as its default is left out. The style is not
    among them: it is ``fields["style"]``.

    Raises:
        InvalidParameter: it names the parameter whose text is no number, or neither yes nor no.
    """
    found: dict[str, Any] = {}
    for told in described["parameters"]:
        if (text := fields.get(told["name"])) is None:
            continue
        value = _typed(told, text.replace("\r\n", "\n"))
        if value is not None and (ONLY_SET in fields or value != told["default"]):
            found[told["name"]] = value
    return found


def _field(
    told: Mapping[str, Any],
    values: Mapping[str, Any],
    locked: Mapping[str, Any],
    loaded: frozenset[str],
    pictures: Mapping[str, str],
) -> Field:
    name, kind = str(told["name"]), _kind(told)
    default, fixed = _shown(told["default"]), name in locked
    given = not fixed and values.get(name) is not None
    value = _shown(locked[name] if fixed else values[name]) if fixed or given else default
    if kind == "seed" and value == "-1":
        value = ""
    return Field(
        name,
        kind,
        str(told["type"]),
        str(told["label"]),
        str(told["help"]),
        str(told["group"]),
        value,
        default,
        *(_shown(told[limit]) for limit in ("min", "max", "step")),
        slides=kind == "number" and _slides(told),
        required=bool(told["required"]),
        given=given,
        locked=fixed,
        choices=_choices(told["choices"] or (), value, loaded) if kind in ("select", "picker") else (),
        picture=pictures.get(name),
    )


def _kind(told: Mapping[str, Any]) -> str:
    if told["type"] not in ("enum", "model"):
        return _KINDS.get(told["type"], "line")
    if not told["choices"]:
        # Nobody can tell now what there is.
        return "line"
    return "picker" if told["type"] == "model" or len(told["choices"]) > _MOST_SELECTED else "select"


def _slides(told: Mapping[str, Any]) -> bool:
    low, high = told["min"], told["max"]
    return low is not None and high is not None and 0 < high - low <= _MOST_SLID


def _choices(offered: Iterable[Any], value: str, loaded: frozenset[str]) -> tuple[Choice, ...]:
    """Each once, those that are loaded first; one that is set but not there any more is shown all the same."""
    names = list(dict.fromkeys(map(_shown, offered)))
    if value and value not in names:
        names.insert(0, value)
    return tuple(
        Choice(name, name, loaded=name in loaded) for name in sorted(names, key=lambda name: name not in loaded)
    )


def _listing(field: Field, most: int | None) -> Field:
    if most is None:
        return field
    always = (field.value, field.default)
    listed = tuple(each for at, each in enumerate(field.choices) if at < most or each.value in always)
    return replace(field, choices=listed, more=len(field.choices) - len(listed))


def _style_field(styles: Sequence[Mapping[str, Any]], values: Mapping[str, Any], locked: Mapping[str, Any]) -> Field:
    fixed = "style" in locked
    value = _shown((locked if fixed else values).get("style"))
    choices = tuple(
        Choice(str(each["id"]), str(each["title"]), str(each.get("description") or ""), each.get("thumbnail"))
        for each in styles
    )
    given = not fixed and bool(value)
    return Field("style", "style", "style", "Style", value=value, given=given, locked=fixed, choices=choices)


def _grouped(fields: Sequence[Field]) -> tuple[Group, ...]:
    groups: dict[str, list[Field]] = {}
    for field in _sized(fields):
        groups.setdefault(field.group, []).append(field)
    return tuple(Group(title, tuple(members)) for title, members in groups.items())


def _sized(fields: Sequence[Field]) -> list[Field]:
    """Width and height as one, where both are free."""
    parts = tuple(
        field
        for name in ("width", "height")
        for field in fields
        if field.name == name and field.type == "int" and not field.locked
    )
    if len(parts) < 2:
        return list(fields)
    size = Field("size", "size", "size", "Size", group=parts[0].group, parts=parts)
    return [size if field is parts[0] else field for field in fields if field is not parts[1]]


def _shown(value: Any) -> str:
    """A value as a form has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _typed(told: Mapping[str, Any], text: str) -> Any:
    """The value of a text, None for none."""
    name, kind, bare = str(told["name"]), told["type"], text.strip()
    if kind == "text":
        return None if not text and told["default"] is None else text
    if kind == "bool":
        return _boolean(name, bare.lower())
    if not bare:
        # Its box is empty where a seed is drawn anew.
        return -1 if kind == "seed" and told["default"] is not None else None
    if kind in ("int", "seed"):
        return _whole(name, bare)
    if kind == "float":
        return _decimal(name, bare)
    return next((choice for choice in told["choices"] or () if _shown(choice) == bare), bare)


def _whole(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise InvalidParameter(name, f"{name} is not a whole number.", hint="Give a whole number, such as 20.")
    return int(text)


def _decimal(name: str, text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise InvalidParameter(name, f"{name} is not a number.", hint="Give a number, such as 6.5.")
    return float(text)


def _boolean(name: str, text: str) -> bool:
    if text not in (*_TRUE, *_FALSE):
        raise InvalidParameter(name, f"{name} is neither on nor off.", hint="Give true or false.")
    return text in _TRUE
