from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.compare.matrix import Comparison, Prompt
from llm_bridge.compare.reports import data
from llm_bridge.compare.reports.data import VERSION, plain
from llm_bridge.compare.reports.readable import whole
from llm_bridge.compare.results import Results
from llm_bridge.messages import Image
from tests.bridge.compare.reports.samples import HOSTILE, answered, hostile, partial

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@settings(max_examples=40)
@given(VALUES)
def test_plain_values_pass_through_json_in_utf_8(value: object) -> None:
    told = plain(value)
    assert json.loads(json.dumps(told, ensure_ascii=False, allow_nan=False).encode()) == told


def test_hostile_results_pass_through_json() -> None:
    told = data(hostile())
    assert json.loads(json.dumps(told, ensure_ascii=False, allow_nan=False).encode()) == told
    texts = [cell["text"] for cell in told["cells"] if cell["model"].startswith("a|b")]
    assert texts == [whole(text) for text in HOSTILE]


def test_the_shape_of_a_comparison_stays() -> None:
    told = data(partial())
    assert told["version"] == VERSION == 1
    assert [*told] == [
        *("version", "complete", "counts", "models", "prompts", "variants", "repeats", "cells", "summary", "ranking"),
        *("preferences", "notes"),
    ]
    assert told["counts"] == {"cells": 8, "answered": 2, "failed": 1, "missing": 5}
    assert told["complete"] is False
    assert [*told["cells"][0]] == [
        *("model", "prompt", "variant", "repeat", "key", "state", "cached", "text", "reasoning", "finish", "server"),
        *("served_model", "tool_calls", "data", "notes", "measures", "usage", "checks", "error"),
    ]
    assert [cell["state"] for cell in told["cells"]] == ["answered", "failed", "answered", *["missing"] * 5]
    assert told["cells"][1]["error"] == {"code": "server_lost", "message": "It went away.", "hint": "Start it again."}
    assert told["cells"][2]["measures"]["ttft"] is None
    assert told["cells"][3]["text"] is None
    assert told["summary"][0]["rating"]["rating"] == 1012.4
    assert told["summary"][1]["rating"] is None


def test_a_whole_comparison_says_so_and_its_keys_are_those_of_the_matrix() -> None:
    results = answered(("x", "y"))
    assert data(results)["complete"] is True
    assert [cell["key"] for cell in data(results)["cells"]] == [cell.key for cell in results.comparison.cells]


def test_pictures_of_a_prompt_are_named_not_carried() -> None:
    prompt = Prompt("p", "What is this?", images=(Image(b"abc", "image/png"),))
    image = data(Results(Comparison(("a",), (prompt,))))["prompts"][0]["images"][0]
    assert image["mime"] == "image/png"
    assert image["bytes"] == 3
    assert len(image["sha256"]) == 64
