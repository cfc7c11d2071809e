"""The specification in what people and models write, and slips in it that are mended in a process of their own."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from comfy_nodes.charts.reading import spec_of
from llm_bridge.errors import BadInput
from tests.nodes.test_chart_node import SPEC, TEXT
from tests.nodes.test_charts import programs, started

ENDLESS = "{" + "\\u12]{-" * 10_000
"""A text of which `json_repair` makes something only after minutes."""


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"Here it is:\n\n  ```vega-lite\n{TEXT}\n  ```\nI hope {{that}} helps!",
        f"Sure. {TEXT} Anything else about {{x}}?",
        f'First I thought of\n```json\n{{"mark": "line"}}\n```\nbut rather\n```\n{TEXT}\n```\n',
        f"```json\n{TEXT}",
        f"```json\n{TEXT}\n```\nwith the data\n```\nname,size\n```",
        TEXT.replace("}\n}", "},\n}"),
        TEXT.replace('"', "'"),
        f"Without its end:\n{TEXT[:-2]}",
    ],
)
async def test_a_specification_is_found_in_what_a_model_wrote(text: str) -> None:
    assert await spec_of(text) == SPEC


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON object in the text"),
        ("I cannot draw.", "no JSON object in the text"),
        ("{}", "not JSON: it is no object with anything in it"),
        ('{"a":' * 100_000, "too deep"),
        ("{" + "x" * 200_000, "not JSON: Expecting property name"),
        ("{" + "x" * 2_000_000, "longer than 2000000 letters"),
    ],
)
async def test_a_text_without_a_specification_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(BadInput) as failure:
        await spec_of(text)
    assert words in str(failure.value)


async def test_a_text_that_takes_too_long_to_mend_is_given_up_and_nothing_goes_on() -> None:
    before, begun = programs(), time.monotonic()
    task = asyncio.create_task(spec_of(ENDLESS))
    new = await started(before)
    with pytest.raises(BadInput, match="not JSON: Expecting property name"):
        await task
    assert time.monotonic() - begun < 10
    assert not new & programs()


async def test_cancelling_ends_the_mending() -> None:
    before = programs()
    task = asyncio.create_task(spec_of(ENDLESS))
    new = await started(before)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not new & programs()


async def test_many_fences_of_nonsense_are_read_at_once() -> None:
    begun = time.monotonic()
    for text in ("```\n" * 250_000, "```\n" + " " * 1_000_000 + "{", "\n" * 1_000_000 + "{", "`" * 1_000_000):
        with pytest.raises(BadInput):
            await spec_of(text)
    assert time.monotonic() - begun < 5


async def test_a_text_that_the_mender_itself_fails_at_leaves_the_others() -> None:
    text = f"```\n{TEXT[:-2]}\n```\n\n ```\n{{```json\n[\n```\n"
    assert await spec_of(text) == SPEC


async def test_without_the_mender_slips_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "json_repair", None)
    with pytest.raises(BadInput, match="not JSON"):
        await spec_of(TEXT[:-2])
