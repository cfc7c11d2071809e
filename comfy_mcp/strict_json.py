"""JSON as strangers send it, read strictly: what two readers could understand differently is refused.

Owns no meaning. Used wherever a body or a workflow file comes in. What is large is read beside the event loop, and what
holds too much is not read at all: the parser lets nothing else run while it works.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from anyio import CapacityLimiter, to_thread

from comfy_mcp.errors import BadRequest, TooLarge

__all__ = ["read_body", "read_json"]

_MOST_DEPTH = 64
_MOST_DIGITS = 400
_MOST_VALUES = 200_000
"""About what a graph of the largest size holds; parsing so much takes a quarter of a second and 40 MB."""
_QUICK_BYTES = 64 * 2**10
_AT_ONCE = CapacityLimiter(2)


async def read_body(data: bytes) -> Any:
    """As `read_json`, without holding up others: large ones in a thread, two at a time. Raises as that does."""
    if len(data) <= _QUICK_BYTES:
        return read_json(data)
    return await to_thread.run_sync(read_json, data, limiter=_AT_ONCE)


def read_json(data: bytes) -> Any:
    """Parse UTF-8 JSON.

    Raises:
        BadRequest: not UTF-8 or not JSON; NaN, Infinity or 1e400; a key given twice; half of a surrogate pair;
            numbers of more than 400 digits; more than 64 levels.
        TooLarge: more than 200 000 values, where each comma and bracket inside of a text counts as one.
    """
    if sum(map(data.count, (b"[", b"{", b","))) > _MOST_VALUES:
        raise TooLarge(f"The JSON holds more than {_MOST_VALUES} values.", hint="Send less at a time.")
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
        _check_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            _check(key, depth - 1)
            _check(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            _check(inner, depth - 1)


def _check_text(text: str) -> None:
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise BadRequest("A text holds half of a character.", hint="Send whole Unicode characters.") from None


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON is nested more than {_MOST_DEPTH} levels deep.", hint="Send it flatter.")
