"""JSON values taken as what they should be, or refused by their place. For the shapes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from llm_bridge.errors import BadInput

__all__ = ["items", "mapping", "text", "text_or_none"]


def mapping(value: object, where: str) -> Mapping[str, object]:
    """Raises: BadInput."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{where} must be an object, not {_kind(value)}.")
    return cast("Mapping[str, object]", value)


def items(value: object, where: str) -> Sequence[object]:
    """Raises: BadInput."""
    if not isinstance(value, list | tuple):
        raise BadInput(f"{where} must be a list, not {_kind(value)}.")
    return cast("Sequence[object]", value)


def text(value: object, where: str) -> str:
    """Raises: BadInput."""
    if not isinstance(value, str):
        raise BadInput(f"{where} must be a text, not {_kind(value)}.")
    return value


def text_or_none(value: object, where: str) -> str | None:
    """Raises: BadInput."""
    return None if value is None else text(value, where)


def _kind(value: object) -> str:
    """As JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"
