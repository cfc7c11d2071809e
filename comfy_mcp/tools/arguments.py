"""The arguments of a call as the tools take them: schemas in a few words, and values of the right kind.

Owns the wording of what is refused, so that every tool refuses alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from comfy_mcp.errors import InvalidParameter

__all__ = ["JOB_ID", "TEMPLATE", "WAIT", "object_of", "schema", "seconds_of", "text_of"]

JOB_ID = {"type": "string", "description": "Job id from an earlier answer."}
WAIT = {"type": "number", "description": "Seconds to wait at most.", "minimum": 0, "optional": True}
TEMPLATE = {"type": "string", "description": "Id from list_templates."}


def schema(**properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object; every property is required but those that are ``optional``."""
    told = {name: {key: part for key, part in each.items() if key != "optional"} for name, each in properties.items()}
    required = [name for name, each in properties.items() if not each.get("optional")]
    return {"type": "object", "properties": told, **({"required": required} if required else {})}


def text_of(arguments: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text that is not empty, or the default. Raises InvalidParameter."""
    value = arguments.get(name)
    if value in (None, "") and default is not None:
        return default
    if not isinstance(value, str) or not value:
        raise InvalidParameter(name, f"{name} is missing or not a text.", hint="Give it as an earlier answer did.")
    return value


def seconds_of(arguments: Mapping[str, Any], most: float) -> float:
    """How long to wait: what the call says, and never longer than the chat waits, or it would hang up, and see nothing.

    Raises:
        InvalidParameter: no number of seconds from 0 to 3600.
    """
    seconds = arguments.get("wait", most)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        raise InvalidParameter("wait", "wait is not a number of seconds from 0 to 3600.", hint="Leave it out.")
    return min(seconds, most)


def object_of(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object, empty when it is not given. Raises InvalidParameter."""
    value: object = arguments.get(name) or {}
    if not isinstance(value, Mapping):
        raise InvalidParameter(name, f"{name} is not an object.", hint="describe_template names the parameters.")
    return dict(cast(Mapping[str, Any], value))
