"""What pydantic refuses of a caller's values, in our words, and naming the one that is wrong.

Owns the words, so that chats, comparisons and bodies of requests refuse alike; not what is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from comfy_mcp.errors import InvalidParameter, nearest

__all__ = ["plainly", "refused"]

_NO_NUMBER, _NOT_WHOLE, _NO_FLAG = "is not a number", "is not a whole number", "is neither true nor false"
_WORDS: Mapping[str, str] = {
    "bool_parsing": _NO_FLAG,
    "bool_type": _NO_FLAG,
    "dict_type": "is not an object",
    "finite_number": _NO_NUMBER,
    "float_parsing": _NO_NUMBER,
    "float_type": _NO_NUMBER,
    "greater_than": "is not more than {gt}",
    "greater_than_equal": "is not at least {ge}",
    "int_from_float": _NOT_WHOLE,
    "int_parsing": _NOT_WHOLE,
    "int_parsing_size": "is too large",
    "int_type": _NOT_WHOLE,
    "less_than": "is not less than {lt}",
    "less_than_equal": "is not at most {le}",
    "list_type": "is not a list",
    "missing": "is missing",
    "model_type": "is not an object",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is empty",
    "string_type": "is not a text",
    "string_unicode": "holds characters that are none",
    "too_long": "has more than {max_length} entries",
    "too_short": "is empty",
    "tuple_type": "is not a list",
    "value_error": "{error}",
}


def refused(failure: ValidationError, what: str, known: Collection[str]) -> InvalidParameter:
    """The refusal of the values of a ``what``, whose names are ``known``."""
    first = _first(failure)
    name = str(first["loc"][0])[:64] if first["loc"] else "values"
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        alike = nearest(name, known) or known
        return InvalidParameter(name, f"A {what} has no parameter {name!r}.", hint=f"Nearest: {', '.join(alike)}.")
    hint = "Give it." if first["type"] == "missing" else "Mend it, or leave it out."
    return InvalidParameter(name, _sentence(first), hint=hint)


def plainly(failure: ValidationError) -> str:
    """What is wrong first, in a sentence."""
    return _sentence(_first(failure))


def _first(failure: ValidationError) -> ErrorDetails:
    """A name that nobody knows before what is missing: most likely it is the missing one, written wrong."""
    errors = failure.errors(include_input=False, include_url=False)
    return next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])


def _sentence(error: ErrorDetails) -> str:
    *within, last = error["loc"] or ("the body",)
    if error["type"] == "extra_forbidden":
        return f"{_where(within) or 'The body'} has no {str(last)[:64]!r}."
    details = {name: _short(value) for name, value in error.get("ctx", {}).items()}
    return f"{_where([*within, last])} {_WORDS.get(error['type'], 'cannot be used').format(**details)}."


def _short(value: Any) -> Any:
    """5 says as much as 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _where(path: Collection[str | int]) -> str:
    """Entries of lists are counted from 1."""
    return ", ".join(f"entry {part + 1}" if isinstance(part, int) else part[:64] for part in path)
