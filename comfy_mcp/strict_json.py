"""JSON as strangers send it, read strictly: what two readers could understand differently is refused.

Owns no meaning. Used wherever a body or a workflow file comes in.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from comfy_mcp.errors import BadRequest

__all__ = ["read_json"]

_MOST_DEPTH = 64
_MOST_DIGITS = 400


def read_json(data: bytes) -> Any:
    """Parse UTF-8 JSON.

    Raises:
        BadRequest: not UTF-8 or not JSON; NaN, Infinity or 1e400; a key given twice; half of a surrogate pair;
            numbers of more than 400 digits; more than 64 levels.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The JSON is not UTF-8.", hint="Send it as UTF-8, without a byte order mark.") from None
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_no_double,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as failure:
        raise BadRequest(f"This is not JSON: {failure}.", hint="Check quotes, commas and brackets.") from None
    _check(value, _MOST_DEPTH)
    return value


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not a JSON number.", hint="Send a finite number.")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadRequest("A number is too large.", hint="Send a finite number.")
    return number


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise BadRequest("A number has too many digits.", hint="The largest seed is 18446744073709551615.")
    return int(text)


def _no_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("A key is given twice in one object.", hint="Give every key once.")
    return found


def _check(value: Any, depth: int) -> None:
    """Depth, and surrogates without their other half, which no UTF-8 file or database can hold."""
    if depth == 0:
        raise _too_deep()
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadRequest("A text holds half of a character.", hint="Send whole Unicode characters.")
    elif isinstance(value, dict):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            _check(key, depth - 1)
            _check(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            _check(inner, depth - 1)


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON is nested more than {_MOST_DEPTH} levels deep.", hint="Send it flatter.")
