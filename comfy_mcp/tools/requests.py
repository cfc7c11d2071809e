"""From the arguments of a call to a request for the workbench, with what the person set for good beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import JobRequest
from comfy_mcp.tools.registry import Caller

__all__ = ["request_for"]

_MOST_KEY = 255


def request_for(caller: Caller, template: str, arguments: Mapping[str, Any]) -> tuple[JobRequest, str | None]:
    """The request, and its idempotency key. Raises InvalidParameter for a style, preset or key that is no text."""
    values = dict(arguments)
    key = values.pop("idempotency_key", None) or None
    if key is not None and not (isinstance(key, str) and len(key) <= _MOST_KEY):
        raise InvalidParameter(
            "idempotency_key", "idempotency_key is not a short text.", hint=f"Give at most {_MOST_KEY} characters."
        )
    style, preset = (_name(values, name) for name in ("style", "preset"))
    request = JobRequest(
        template,
        values,
        style,
        caller.owner,
        standing=caller.standing,
        preset=preset,
        default_preset=True,
    )
    return request, key


def _name(values: dict[str, Any], name: str) -> str | None:
    value = values.pop(name, None) or None
    if value is not None and not isinstance(value, str):
        raise InvalidParameter(name, f"{name} is not a text.", hint=f"Give the name of a {name}, or leave it out.")
    return value
