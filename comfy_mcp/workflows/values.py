"""One value against one parameter: its type, its range, its choices.

Owns what is accepted: exact JSON types, and texts as the command line and the environment bring them ("20", "6.5",
"true") where nothing is lost. Every refusal names the parameter and says what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from comfy_mcp.errors import InvalidParameter, TooLarge
from comfy_mcp.workflows.choices import matching_choice
from comfy_mcp.workflows.graph import LEAST_INTEGER, MOST_INTEGER
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.paths import is_plain_name, takes_file_name

__all__ = ["MOST_SEED", "checked", "on_grid", "seed_range"]

MOST_SEED = MOST_INTEGER
_MOST_TEXT = 100_000
_MOST_EXACT, _MOST_FLOAT = 2**53, 1e300
_WHOLE = re.compile(r"[+-]?\d{1,25}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
_ASSET = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def checked(name: str, parameter: Parameter, value: object, *, choices: Sequence[Any] | None) -> Any:
    """The value as the graph takes it. ``choices`` are what is offered now, None when nobody knows.

    Raises:
        InvalidParameter: wrong type, out of range, or not offered.
        MissingModel: there is nothing to choose from.
        TooLarge: a text of more than 100 000 characters.
    """
    match parameter.type:
        case "text":
            return _text(name, parameter, value)
        case "int":
            return _in_range(name, _whole(name, value), parameter.min, parameter.max)
        case "seed":
            low, high = seed_range(parameter)
            return _in_range(name, _whole(name, value), low, high, "-1 draws one.")
        case "float":
            return _in_range(name, _number(name, value), parameter.min, parameter.max)
        case "bool":
            return _boolean(name, value)
        case "image" | "mask":
            if not isinstance(value, str) or not _ASSET.fullmatch(value):
                raise InvalidParameter(name, f"{name} is no picture id.", hint="Give the id of a job or an upload.")
            return value
        case "enum" | "model":
            return matching_choice(name, parameter, value, choices)


def seed_range(parameter: Parameter) -> tuple[int, int]:
    """The smallest and the largest seed that a parameter takes."""
    low = 0 if parameter.min is None else int(parameter.min)
    return low, MOST_SEED if parameter.max is None else int(parameter.max)


def on_grid(parameter: Parameter, value: int) -> int:
    """The value itself, or the next lower one that the step allows; the grid starts at the minimum."""
    step = 1 if parameter.step is None else int(parameter.step)
    origin = 0 if parameter.min is None else int(parameter.min) % step
    return origin + (value - origin) // step * step


def _text(name: str, parameter: Parameter, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidParameter(name, f"{name} is not a text.", hint="Give a text.")
    if len(value) > _MOST_TEXT:
        raise TooLarge(f"{name} has {len(value)} characters.", hint=f"Give at most {_MOST_TEXT}.", parameter=name)
    if _CONTROL.search(value):
        raise InvalidParameter(name, f"{name} holds control characters.", hint="Give plain text.")
    if any(takes_file_name(place.input) for place in parameter.bind) and not is_plain_name(value):
        raise InvalidParameter(
            name, f"{name} is not a plain file name.", hint="Give a short name without .., drives and leading slashes."
        )
    return value


def _whole(name: str, value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameter(name, f"{name} is not a whole number.", hint="Give a whole number, such as 20.")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST_FLOAT:
        raise InvalidParameter(name, f"{name} is not a number.", hint="Give a finite number, such as 6.5.")
    return float(value)


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    if not isinstance(value, bool):
        raise InvalidParameter(name, f"{name} is not true or false.", hint="Give true or false.")
    return value


def _in_range(name: str, value: Any, low: float | None, high: float | None, more: str = "") -> Any:
    """Without limits of its own, a whole number still has to fit into 64 bits."""
    if isinstance(value, int):
        low, high = LEAST_INTEGER if low is None else low, MOST_INTEGER if high is None else high
    if (low is not None and value < low) or (high is not None and value > high):
        takes = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise InvalidParameter(
            name, f"{name} {_shown(value)} is out of range.", hint=f"Give {takes}. {more}".strip(), min=low, max=high
        )
    return value


def _shown(value: float) -> str:
    return str(value) if len(str(value)) <= 40 else f"{str(value)[:40]}…"
