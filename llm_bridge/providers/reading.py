"""JSON of servers read leniently: what has another type than it should is as if it were not there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

__all__ = ["entries", "flag", "number", "record", "seconds_of", "text_of", "texts", "whole"]


def record(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def entries(value: object, name: str | None = None) -> list[dict[str, Any]]:
    """The objects of a list, or of the list under ``name``."""
    found = value if name is None else record(value).get(name)
    return (
        [cast("dict[str, Any]", each) for each in cast("list[object]", found) if isinstance(each, dict)]
        if isinstance(found, list)
        else []
    )


def text_of(value: Mapping[str, Any], name: str) -> str:
    """The text, or an empty one."""
    found = value.get(name)
    if not isinstance(found, str):
        return ""
    return found if found.isascii() else _encodable(found)


def texts(value: Mapping[str, Any], name: str) -> list[str] | None:
    """The texts of a list, None when it is none."""
    found = value.get(name)
    return [each for each in cast("list[object]", found) if isinstance(each, str)] if isinstance(found, list) else None


def number(value: Mapping[str, Any], name: str) -> float | None:
    """A finite number that is not negative, else None."""
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and found >= 0 else None


def whole(value: Mapping[str, Any], name: str) -> int | None:
    """A whole number that is not negative, else None."""
    found = number(value, name)
    return int(found) if found is not None and found.is_integer() else None


def seconds_of(value: Mapping[str, Any], name: str, per_second: float = 1000.0) -> float | None:
    """A time in milliseconds, or whatever there are ``per_second`` of, as seconds."""
    found = number(value, name)
    return None if found is None else found / per_second


def flag(value: Mapping[str, Any], name: str) -> bool | None:
    """True or False when it says so, else None."""
    found = value.get(name)
    return found if isinstance(found, bool) else None


def _encodable(text: str) -> str:
    """Without halves of characters, which servers that count in UTF-16 leave where they cut."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
