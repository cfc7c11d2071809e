"""Vega-Lite specifications as people and models write them: checked, given data and a size.

Pure. Refuses what would load something and what is too large; whether the rest is Vega-Lite, Vega-Lite says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, cast

from llm_bridge.compare.reports.data import plain
from llm_bridge.errors import BadInput

__all__ = ["RESULTS", "Spec", "checked", "filled", "sized"]

RESULTS = "results"
"""The name under which a specification finds the rows of a comparison."""

_MOST_ROWS = 20_000
_MOST_SIDE = 20_000
"""Pixels. An axis has a mark at each few of them, and a picture may have no more than 4096² in all."""
_SIDES = ("width", "height", "continuousWidth", "continuousHeight", "discreteWidth", "discreteHeight", "view")
"""What is a number of pixels, or has one for each of its values as its step."""
_COMPOSED = ("facet", "hconcat", "vconcat", "concat", "repeat")
_FACETS = ("row", "column", "facet")
_VIEWS = ("mark", "layer", *_COMPOSED)
_MARKS = (
    *("arc", "area", "bar", "boxplot", "circle", "errorband", "errorbar", "geoshape", "line", "point", "rect", "rule"),
    *("square", "text", "tick", "trail"),
)
_VALUES = 'Put the values into the specification: "data": {"values": [{…}, …]}'

Spec = dict[str, Any]


def filled(spec: Spec, rows: Sequence[Mapping[str, Any]]) -> Spec:
    """With the rows as the data called "results", which is also that of a specification without data."""
    datasets = {**_datasets(spec), RESULTS: list(rows)}
    return {**spec, "data": spec.get("data") or {"name": RESULTS}, "datasets": datasets}


def sized(spec: Spec, width: int, height: int) -> Spec:
    """Of this many pixels with all that is around the plot; 0 leaves a side as it is, and so do several views."""
    encoding = spec.get("encoding")
    several = any(name in spec for name in _COMPOSED) or (
        isinstance(encoding, dict) and any(channel in encoding for channel in _FACETS)
    )
    if several or not (width or height):
        return spec
    fit = "fit" if width and height else "fit-x" if width else "fit-y"
    sides = {name: size for name, size in (("width", width), ("height", height)) if size}
    return {**spec, **sides, "autosize": {"type": fit, "contains": "padding"}}


def checked(spec: Mapping[str, Any]) -> Spec:
    """The same in JSON's own types. Raises: BadInput when it loads something, lacks its data or is too large."""
    try:
        whole: Spec = plain(spec)
    except RecursionError:
        raise BadInput("The specification is too deep.", hint="Make it simpler.") from None
    if whole.get("background") in (None, "transparent"):
        # The pictures of a graph have nothing to shine through; the theme's takes its place.
        whole.pop("background", None)
    if not any(name in whole for name in _VIEWS):
        raise BadInput("That is no Vega-Lite specification.", hint=f"It needs one of {', '.join(_VIEWS)}.")
    named = _datasets(whole)
    sources: list[Any] = []
    for name, value in _named({**whole, "datasets": None}):
        _allow(name, value)
        if name == "data" and value is not None:
            sources.append(value)
    if not sources:
        raise BadInput("The specification has no data.", hint=f"{_VALUES}, or link results.")
    rows = sum(map(_rows, named.values())) + sum(_rows(_values(source, named)) for source in sources)
    if rows > _MOST_ROWS:
        raise BadInput(f"The data has {rows} rows, and may have {_MOST_ROWS}.", hint="Aggregate it, or leave rows out.")
    return whole


def _datasets(spec: Spec) -> Spec:
    datasets: object = spec.get("datasets") or {}
    if not isinstance(datasets, dict):
        raise BadInput("The datasets are no object.", hint='They are {"name": [{…}, …]}.')
    return cast("Spec", datasets)


def _named(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Everything that has a name, at any depth, but what is in the rows of the data."""
    left: list[Any] = [spec]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += cast("list[Any]", part)
        elif isinstance(part, dict):
            for name, value in cast("Spec", part).items():
                yield name, value
                rows = name == "data" and isinstance(value, dict)
                left.append({**cast("Spec", value), "values": None} if rows else value)


def _allow(name: str, value: Any) -> None:
    if name == "url":
        raise BadInput('The specification has a "url", and charts load neither data nor pictures.', hint=f"{_VALUES}.")
    if name in _SIDES and abs(side := _pixels(value)) > _MOST_SIDE:
        raise BadInput(f"The {name} may be {_MOST_SIDE} pixels, not {side:g}.", hint="Give a smaller one, or none.")
    if name != "mark":
        return
    mark = cast("Spec", value).get("type", "bar") if isinstance(value, dict) else value
    if mark not in _MARKS:
        raise BadInput(f"There is no mark {json.dumps(mark)[:100]}.", hint=f"The marks are {', '.join(_MARKS)}.")


def _pixels(side: Any) -> float:
    """Vega takes a number in a text for one, too; what is none counts for nothing."""
    step = cast("Spec", side).get("step") if isinstance(side, dict) else side
    try:
        return float(step) if isinstance(step, int | float | str) else 0.0
    except OverflowError:
        return inf
    except ValueError:
        return 0.0


def _values(source: Any, named: Mapping[str, Any]) -> Any:
    """The rows that are in a source itself. Raises: BadInput when they are nowhere."""
    if not isinstance(source, dict):
        raise BadInput("The data is no object.", hint=f"{_VALUES}.")
    told = cast("Spec", source)
    if set(told) <= {"name", "format"} and (name := told.get("name")) not in named:
        also = "Link results" if name == RESULTS else f"The results that are linked are called “{RESULTS}”"
        raise BadInput(f"There is no data of the name {json.dumps(name)[:100]}.", hint=f"{_VALUES}. {also}.")
    return told.get("values")


def _rows(values: Any) -> int:
    match values:
        case list():
            return len(cast("list[Any]", values))
        case str():
            return values.count("\n") + 1
        case _:
            return 1
