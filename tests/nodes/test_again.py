"""When LLM Compare runs again though its graph is the same: cells that failed, a run that is gone, everything anew."""

from __future__ import annotations

import math
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.nodes.judging import Vote
from tests.bridge.servers import Script, json_answer
from tests.nodes.conftest import SetUp
from tests.nodes.test_compare import compare
from tests.texts import CHAT, answered, text_server

GIVEN: dict[str, Any] = {"repeats": 1, "seed": 0, "max_tokens": 64, "checks": ""}
FULL = json_answer({"error": {"message": "The card is full."}}, 400)


@pytest.fixture
async def script(set_up: SetUp) -> AsyncGenerator[Script]:
    async with text_server() as script:
        set_up(script.url)
        number()  # Runs of other tests, whose folders are gone.
        yield script


def number(**changed: Any) -> float:
    """What ComfyUI is told: links are None."""
    given: dict[str, Any] = GIVEN | {"models": None, "prompts": None, "parameters": None, "unique_id": "7", **changed}
    return LLMCompare.IS_CHANGED(**given)


async def test_failed_cells_make_it_run_again_once_for_each_time(script: Script) -> None:
    script.on(CHAT, FULL, answered, FULL, answered)
    before = number()
    await compare("alpha", **GIVEN)
    first = number()
    assert before != first == number()
    await compare("alpha", "one two three", **GIVEN)
    second = number()
    assert second not in (before, first)
    assert (await compare("alpha", **GIVEN))["result"][2] == ["alpha on one", "alpha on two"]
    assert number() == second


async def test_what_failed_elsewhere_is_nothing_to_another_comparison(script: Script) -> None:
    others = [{"unique_id": "8"}, {"seed": 1}, {"repeats": 2}, {"checks": "json"}, {"max_tokens": 65}]
    before = [number(**other) for other in others]
    linked = number(seed=None)
    script.on(CHAT, FULL, answered)
    await compare("alpha", **GIVEN)
    assert [number(**other) for other in others] == before
    assert number(seed=None) == number() != linked


async def test_a_run_that_is_gone_is_made_anew_from_the_answers_and_voted_on(script: Script, tmp_path: Path) -> None:
    run = (await compare("alpha beta", **GIVEN))["result"][0].run
    before = number()
    (folder,) = tmp_path.rglob(run)
    shutil.rmtree(folder)
    gone = number()
    assert before != gone == number()
    compared = (await compare("alpha beta", **GIVEN))["result"][0]
    assert number() == gone and compared.run == run
    assert (await Vote().vote(results=compared, voter="me"))["ui"]["vote"][0]["ballots"] == 2
    assert len(script.bodies(CHAT)) == 4


def test_everything_anew_is_always_run_again() -> None:
    assert math.isnan(number(use_earlier_answers=False))
