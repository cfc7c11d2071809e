"""What a template takes, for machines: JSON Schema for chats, and a full description for forms and the command line.

Owns the wording of both. A chat pays for every byte of a schema in every turn, so long lists are only named there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_mcp.workflows.binding import offered
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.object_info import ObjectInfo
from comfy_mcp.workflows.styles import Style
from comfy_mcp.workflows.template import Template

__all__ = ["describe", "json_schema"]

_TYPES = {"int": "integer", "seed": "integer", "float": "number", "bool": "boolean"}
_PICTURE = "Job id, picture id or base64."


def json_schema(
    template: Template,
    *,
    styles: Mapping[str, Style],
    object_info: ObjectInfo | None = None,
    max_choices: int = 8,
) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the arguments: flat, scalar, one description each.

    Choices beyond ``max_choices`` are not an enum: the description names some and the tool that lists all, and binding
    knows them all.
    """
    properties = {
        name: _property(parameter, offered(parameter, object_info), max_choices)
        for name, parameter in template.parameters.items()
    }
    if template.takes_style and styles:
        properties["style"] = _choice_property("Style preset.", tuple(styles), max_choices, "list_templates")
    return {"type": "object", "properties": properties, "required": list(template.required)}


def _property(parameter: Parameter, choices: tuple[Any, ...] | None, max_choices: int) -> dict[str, Any]:
    told = parameter.help or parameter.label
    if parameter.type in ("enum", "model"):
        return _with_default(_choice_property(told, choices or (), max_choices, "describe_template"), parameter)
    if parameter.type in ("image", "mask"):
        return {"type": "string", "description": f"{told} {_PICTURE}".strip()}
    found: dict[str, Any] = {"type": _TYPES.get(parameter.type, "string"), "description": told}
    if parameter.min is not None:
        found["minimum"] = parameter.min
    if parameter.max is not None:
        found["maximum"] = parameter.max
    return _with_default(found, parameter)


def _with_default(found: dict[str, Any], parameter: Parameter) -> dict[str, Any]:
    if parameter.default not in (None, ""):
        found["default"] = parameter.default
    return found


def _choice_property(told: str, choices: tuple[Any, ...], max_choices: int, lister: str) -> dict[str, Any]:
    names = [str(choice) for choice in choices]
    if names and len(names) <= max_choices:
        return {"type": "string", "enum": names, "description": told}
    if not names:
        return {"type": "string", "description": f"{told} See {lister}.".strip()}
    some = ", ".join(names[: max_choices // 2])
    return {"type": "string", "description": f"{told} {some}… ({len(names)}, see {lister}).".strip()}


def describe(template: Template, *, object_info: ObjectInfo | None) -> dict[str, Any]:
    """Everything about a template, with every choice that is offered now."""
    return {
        "id": template.id,
        "title": template.title,
        "description": template.description,
        "style": template.takes_style,
        "parameters": [
            {
                "name": name,
                "type": parameter.type,
                "label": parameter.label or name,
                "help": parameter.help,
                "group": parameter.group,
                "advanced": parameter.advanced,
                "required": parameter.required,
                "default": parameter.default,
                "min": parameter.min,
                "max": parameter.max,
                "step": parameter.step,
                "choices": list(choices) if (choices := offered(parameter, object_info)) is not None else None,
            }
            for name, parameter in template.parameters.items()
        ],
    }
