"""What a template takes, for machines: JSON Schema for chats, and a full description for forms and the command line.

Owns the wording of both. A chat pays for every byte of a schema in every turn, so long lists are only named there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_mcp.errors import MissingModel
from comfy_mcp.workflows.binding import offered
from comfy_mcp.workflows.choices import default_choice
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.object_info import ObjectInfo
from comfy_mcp.workflows.styles import Style
from comfy_mcp.workflows.template import Template

__all__ = ["MOST_CHOICES", "describe", "json_schema"]

_TYPES = {"int": "integer", "seed": "integer", "float": "number", "bool": "boolean"}
_PICTURE = "Id or base64."
MOST_CHOICES = 8
"""So many are an enum; of more, the number is told."""

_ENUM_LETTERS = 100


def json_schema(
    template: Template,
    *,
    styles: Mapping[str, Style],
    object_info: ObjectInfo | None = None,
    max_choices: int = MOST_CHOICES,
    full: bool = False,
) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the arguments: flat, scalar, one description each.

    More than ``max_choices`` choices, or very long ones, are no enum: the description says how many there are and
    which tool lists them, and binding knows them all; 0 says only which. ``full`` gives every choice.
    """
    most = len(styles) + 100_000 if full else max_choices
    properties = {
        name: _property(name, parameter, offered(parameter, object_info), most)
        for name, parameter in template.parameters.items()
    }
    if template.takes_style and styles:
        properties["style"] = _choice("Style preset", list(styles), most, "list_styles")
    return {"type": "object", "properties": properties, "required": list(template.required)}


def _property(name: str, parameter: Parameter, choices: tuple[Any, ...] | None, most: int) -> dict[str, Any]:
    told = parameter.help or parameter.label or name
    if parameter.type in ("image", "mask"):
        return {"type": "string", "description": f"{told} {_PICTURE}"}
    default = _default_now(name, parameter, choices)
    if parameter.type in ("enum", "model"):
        default = None if default is None or parameter.default is None else str(default)
        lister = "list_models" if parameter.choices_from else "describe_template"
        found = _choice(told, _default_first(default, choices), most, lister)
    else:
        found = {"type": _TYPES.get(parameter.type, "string"), "description": told}
        found |= {
            key: limit
            for key, limit in (("minimum", _least(parameter)), ("maximum", parameter.max))
            if limit is not None
        }
    found = found if default in (None, "") else {**found, "default": default}
    return {key: _short(value) for key, value in found.items()}


def _short(value: Any) -> Any:
    """30 says as much as 30.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _least(parameter: Parameter) -> int | float | None:
    """A seed of -1 is no seed, but asks for one: a validator in a chat client must not refuse it."""
    return -1 if parameter.type == "seed" and parameter.min is not None else parameter.min


def _default_first(default: str | None, choices: tuple[Any, ...] | None) -> list[str]:
    names = list(dict.fromkeys(str(choice) for choice in choices or ()))
    return sorted(names, key=lambda name: name != default)


def _choice(told: str, names: Sequence[str], most: int, lister: str) -> dict[str, Any]:
    if names and len(names) <= most and (most > MOST_CHOICES or sum(map(len, names)) <= _ENUM_LETTERS):
        return {"type": "string", "enum": list(names), "description": told}
    where = f"{len(names)} in {lister}" if names and most else f"see {lister}"
    return {"type": "string", "description": f"{told.rstrip('.')}, {where}"}


def _default_now(name: str, parameter: Parameter, choices: tuple[Any, ...] | None) -> Any:
    """What is taken when nothing is given, None when nobody can tell: no file, no ComfyUI, a random seed."""
    if parameter.type == "seed" and parameter.default == -1:
        return None
    if parameter.type not in ("enum", "model") or choices is None:
        return None if parameter.type == "model" else parameter.default
    try:
        return default_choice(name, parameter, choices)
    except MissingModel:
        return None


def describe(template: Template, *, object_info: ObjectInfo | None) -> dict[str, Any]:
    """Everything about a template, with every choice that is offered now and the defaults as they are now."""
    return {
        "id": template.id,
        "title": template.title,
        "description": template.description,
        "shipped": template.shipped,
        "style": template.takes_style,
        "parameters": [
            _described(name, parameter, offered(parameter, object_info))
            for name, parameter in template.parameters.items()
        ],
    }


def _described(name: str, parameter: Parameter, choices: tuple[Any, ...] | None) -> dict[str, Any]:
    return {
        "name": name,
        "type": parameter.type,
        "label": parameter.label or name,
        "help": parameter.help,
        "group": parameter.group,
        "advanced": parameter.advanced,
        "required": parameter.required,
        "default": _default_now(name, parameter, choices),
        "min": parameter.min,
        "max": parameter.max,
        "step": parameter.step,
        "choices": None if choices is None else list(choices),
    }
