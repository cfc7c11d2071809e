"""Schemas from callers: those that are none, what does not fit, and that none of them can stop the event loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from llm_bridge.errors import BadInput
from llm_bridge.schemas import problems, verify, verify_short

pytest.importorskip("jsonschema")

NUMBER: Mapping[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
LONG: Mapping[str, Any] = {**NUMBER, "description": "x" * 5000}


@pytest.mark.parametrize("schema", [NUMBER, LONG, {**NUMBER, "uniqueItems": True}])
async def test_what_does_not_fit_is_told_in_words_wherever_it_is_checked(schema: Mapping[str, Any]) -> None:
    await verify(schema)
    assert await problems(schema, {"n": 1}) == []
    assert await problems(schema, {}) == ["$: 'n' is a required property"]
    (problem,) = await problems(schema, {"n": "x" * 1000})
    assert problem.startswith("$.n: ")
    assert len(problem) < 300


async def test_only_the_first_problems_are_told() -> None:
    assert len(await problems({"items": {"type": "null"}}, [1] * 1000)) == 3


@pytest.mark.parametrize(
    "schema", [{"type": "thing"}, {"type": "thing", "description": "x" * 5000}, {"$ref": "#/$defs/no"}, {"a": b""}]
)
async def test_a_schema_that_is_none_is_refused(schema: Mapping[str, Any]) -> None:
    with pytest.raises(BadInput, match="schema") as refused:
        await verify(schema)
    assert refused.value.hint


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2000):
        schema = {"not": schema}
    with pytest.raises(BadInput, match="too deep"):
        verify_short(schema)


async def test_a_schema_that_recurs_without_end_is_no_answer_that_fits() -> None:
    await verify({"$ref": "#"})
    with pytest.raises(BadInput, match="could not be done"):
        await problems({"$ref": "#"}, 1)


async def test_a_value_that_is_nested_deep_is_checked() -> None:
    value: list[Any] = []
    for _ in range(500):
        value = [value]
    assert await problems({"type": "null"}, value) != []


def _twice(depth: int) -> dict[str, Any]:
    """Each name refers to the next one twice."""
    names: dict[str, Any] = {f"d{each}": {"allOf": [{"$ref": f"#/$defs/d{each + 1}"}] * 2} for each in range(depth)}
    return {"$ref": "#/$defs/d0", "$defs": {**names, f"d{depth}": True}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 40 + "!"),
        ({"patternProperties": {"^(a+)+$": False}}, {"a" * 40 + "!": 1}),
        (_twice(40), 1),
        ({"uniqueItems": True}, [{"n": each} for each in range(20_000)]),
    ],
)
async def test_a_check_that_takes_too_long_is_ended_in_time(schema: Mapping[str, Any], value: Any) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"longer than 0\.5 seconds"):
        await problems(schema, value, deadline=0.5)
    assert time.monotonic() - began < 5
