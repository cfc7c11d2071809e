"""Variants from text: `temperature=0.2,0.8;seed=1` are two, every combination of the values.

Owns this form and what values make sense. For the command line and the API.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from llm_bridge.chat import Sampling
from llm_bridge.compare.matrix import MOST_CELLS, Variant
from llm_bridge.errors import BadInput

__all__ = ["variants_of"]

_EXTRA = "extra."
_JSON = json.JSONDecoder()


def variants_of(text: str) -> tuple[Variant, ...]:
    """One for each combination of the values, named by those that vary; a single one is named by all.

    Known are the parameters of `Sampling`, `think` (true or false), and `extra.NAME` for a field of the server's own,
    whose value is JSON or else text. A comma or semicolon inside a JSON value ends nothing. Empty text is one variant
    that leaves everything to the server.

    Raises: BadInput, with the part and the reason.
    """
    grid: dict[str, list[str]] = {}
    for part, name, values in _parts(text):
        if name in grid:
            raise BadInput(f"{name} stands there twice.", hint=f"Write {name}=1,2 for two values.")
        if part:
            grid[name] = _checked(part, name, values)
    if math.prod(len(values) for values in grid.values()) > MOST_CELLS:
        raise BadInput("There are too many combinations.", hint=f"Compare at most {MOST_CELLS} cells at once.")
    varying = [name for name in grid if len(grid[name]) > 1] or [*grid]
    return tuple(_variant(dict(zip(grid, values, strict=True)), varying) for values in product(*grid.values()))


def _parts(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each part as it is written, its name and its values."""
    start = 0
    while start < len(text):
        name_end = place = _next("=;", text, start)
        values: list[str] = []
        while text[place : place + 1] in ("=", ","):
            begin, place = place + 1, _value_end(text, place + 1)
            values.append(text[begin:place].strip())
        yield text[start:place].strip(), text[start:name_end].strip(), values
        start = place + 1


def _value_end(text: str, start: int) -> int:
    while text[start : start + 1].isspace():
        start += 1
    # Commas and semicolons inside of JSON are its own.
    with suppress(ValueError, RecursionError):
        start = _JSON.raw_decode(text, start)[1]
    return _next(",;", text, start)


def _next(signs: str, text: str, start: int) -> int:
    return min((place for sign in signs if (place := text.find(sign, start)) >= 0), default=len(text))


def _checked(part: str, name: str, values: list[str]) -> list[str]:
    if not values or "" in values:
        raise BadInput(f"{part!r} is no parameter with values.", hint="Write it as temperature=0.2,0.8.")
    if name not in _READERS and not (name.startswith(_EXTRA) and len(name) > len(_EXTRA)):
        known = ", ".join((*_READERS, f"{_EXTRA}NAME"))
        raise BadInput(f"There is no parameter {name!r}.", hint=f"Known are {known}.")
    if len({*values}) < len(values):
        raise BadInput(f"{name} has a value twice.", hint="Ask for repeats instead.")
    return values


def _variant(values: Mapping[str, str], varying: list[str]) -> Variant:
    variant = Variant(" ".join(f"{name}={values[name]}" for name in varying))
    read = {name: _read(name, value) for name, value in values.items()}
    sampling = {name: value for name, value in read.items() if name in _SAMPLING}
    extra = {name.removeprefix(_EXTRA): value for name, value in read.items() if name.startswith(_EXTRA)}
    return replace(variant, sampling=Sampling(**sampling), think=read.get("think"), extra=extra)


def _read(name: str, text: str) -> Any:
    try:
        return _READERS.get(name, _json_or_text)(text)
    except ValueError as error:
        raise BadInput(f"{name}={text} makes no sense.", hint=f"Give {error}.") from None


def _number(least: float, most: float = math.inf) -> Callable[[str], float]:
    def read(text: str) -> float:
        asked = f"a number of at least {least:g}" if most == math.inf else f"a number from {least:g} to {most:g}"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(asked) from None
        if not (least <= value <= most and math.isfinite(value)):
            raise ValueError(asked)
        return value

    return read


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        asked = f"a whole number of at least {least}"
        try:
            value = int(text)
        except ValueError:
            raise ValueError(asked) from None
        if not least <= value < 2**63:
            raise ValueError(asked)
        return value

    return read


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _stop(text: str) -> tuple[str, ...]:
    return (text,)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_SAMPLING: Mapping[str, Callable[[str], Any]] = {
    "temperature": _number(0),
    "top_p": _number(0, 1),
    "top_k": _whole(-1),
    "min_p": _number(0, 1),
    "repeat_penalty": _number(0),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _whole(0),
    "max_tokens": _whole(1),
    "stop": _stop,
}
_READERS: Mapping[str, Callable[[str], Any]] = {**_SAMPLING, "think": _switch}
