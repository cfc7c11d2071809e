"""One value against one parameter: its type, its range, its choices.

Owns what is accepted: exact JSON types, and texts as the command line and the environment bring them ("20", "true")
where nothing is lost. Every refusal names the parameter and what it takes.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from comfy_mcp.errors import InvalidParameter, TooLarge, nearest
from comfy_mcp.workflows.manifest import Parameter

__all__ = ["MOST_SEED", "checked", "matching_choice"]

MOST_SEED = 2**64 - 1
_MOST_TEXT = 100_000
_INTEGER = re.compile(r"[+-]?\d{1,25}", re.ASCII)
_ASSET = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def checked(name: str, parameter: Parameter, value: object, *, choices: Sequence[Any] | None) -> Any:
    """The value as the graph takes it. ``choices`` are what is offered now, None when nobody knows.

    Raises:
        InvalidParameter: wrong type, out of range, or not offered.
        TooLarge: a text of more than 100 000 characters.
    """
    match parameter.type:
        case "text":
            return _text(name, value)
        case "int":
            return _in_range(name, parameter, _integer(name, value))
        case "seed":
            seed = _integer(name, value)
            if not 0 <= seed <= MOST_SEED:
                raise InvalidParameter(name, f"{name} {seed} is out of range.", hint=f"Give 0 to {MOST_SEED}, or -1.")
            return seed
        case "float":
            return _in_range(name, parameter, _number(name, value))
        case "bool":
            return _boolean(name, value)
        case "image" | "mask":
            if not isinstance(value, str) or not _ASSET.fullmatch(value):
                raise InvalidParameter(name, f"{name} is no picture id.", hint="Give the id of a job or an upload.")
            return value
        case "enum" | "model":
            return matching_choice(name, value, choices)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidParameter(name, f"{name} is not a text.", hint="Give a text.")
    if len(value) > _MOST_TEXT:
        raise TooLarge(f"{name} has {len(value)} characters.", hint=f"Give at most {_MOST_TEXT}.", parameter=name)
    if _CONTROL.search(value):
        raise InvalidParameter(name, f"{name} holds control characters.", hint="Give plain text.")
    return value


def _integer(name: str, value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameter(name, f"{name} is not a whole number.", hint="Give a whole number, such as 20.")
    return value


def _number(name: str, value: object) -> float:
    number = math.nan
    if isinstance(value, str) and len(value) < 40:
        with contextlib.suppress(ValueError):
            number = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        number = float(value)
    if not math.isfinite(number):
        raise InvalidParameter(name, f"{name} is not a number.", hint="Give a finite number, such as 6.5.")
    return number


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    if not isinstance(value, bool):
        raise InvalidParameter(name, f"{name} is not true or false.", hint="Give true or false.")
    return value


def _in_range(name: str, parameter: Parameter, value: Any) -> Any:
    low, high = parameter.min, parameter.max
    if (low is not None and value < low) or (high is not None and value > high):
        takes = f"{low if low is not None else '…'} to {high if high is not None else '…'}"
        raise InvalidParameter(name, f"{name} {value} is out of range.", hint=f"Give {takes}.", min=low, max=high)
    return value


def matching_choice(name: str, value: object, choices: Sequence[Any] | None) -> str:
    """The choice that is meant: exact, or the only one alike but for case, folder, file type or separator."""
    if not isinstance(value, str) or not value or _CONTROL.search(value) or len(value) > 400:
        raise InvalidParameter(name, f"{name} is not a name.", hint="Give one of the names that are offered.")
    if choices is None or value in choices:
        return value
    known = [str(choice) for choice in choices]
    for fold in (_fold,) if ".." in value else (_fold, _fold_file):
        alike = [choice for choice in known if fold(choice) == fold(value)]
        if len(alike) == 1:
            return alike[0]
    near = nearest(value, known) or known[:5]
    offered = f"nearest: {', '.join(near)}." if near else "ComfyUI offers none: install one first."
    raise InvalidParameter(name, f"{name} {value!r} is unknown;", hint=offered, nearest=near)


def _fold(choice: str) -> str:
    return choice.casefold().replace("\\", "/")


def _fold_file(choice: str) -> str:
    return PurePosixPath(_fold(choice)).stem
