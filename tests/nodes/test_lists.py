"""The nodes that make lists: models by name and pattern, prompts as people write them, grids of parameters."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy
import pytest

from comfy_nodes.nodes.lists import ModelList, ParameterGrid, PromptList
from comfy_nodes.values import Prompts, Provider
from llm_bridge.errors import BadInput, ServerUnavailable, UnknownModel
from tests.bridge.boxes import Box, boxes
from tests.bridge.servers import Answer, End, Script, json_answer, stream
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.texts import NOWHERE, text_server

MODELS = "GET /v1/models"


@pytest.fixture
async def script(set_up: SetUp) -> AsyncGenerator[Script]:
    """A server called llm with the models alpha, beta and gamma."""
    async with text_server(("alpha", "beta", "gamma")) as script:
        set_up(script.url)
        yield script


async def names(models: str, server: str = "") -> tuple[str, ...]:
    listed, each = await ModelList().name(models=models, provider=Provider(server))
    assert list(listed.names) == each
    return listed.names


async def test_names_alone_stay_as_they_are_and_no_server_is_asked(script: Script) -> None:
    assert await names("alpha\n\n llm/beta \nalpha") == ("alpha", "llm/beta")
    assert await names("alpha\nllm/beta\nqwen/qwen3", "llm") == ("llm/alpha", "llm/beta", "llm/qwen/qwen3")
    assert await ModelList.IS_CHANGED(models="alpha\nllm/beta") == ""
    assert not script.received


async def test_patterns_stand_for_what_the_servers_have(script: Script) -> None:
    assert await names("*") == ("llm/alpha", "llm/beta", "llm/gamma")
    assert await names("*ET*\nllm/a*") == ("llm/beta", "llm/alpha")
    assert await names("auto") == ("llm/alpha",)


async def test_a_pattern_may_ask_for_what_can_and_for_want_of_better_for_what_nobody_knows(set_up: SetUp) -> None:
    def entry(model: str, *takes: str) -> dict[str, Any]:
        return {"id": model, "status": {"value": "unloaded"}, "architecture": {"input_modalities": ["text", *takes]}}

    entries = [entry("seer", "image"), entry("blind"), entry("Seer-2", "image"), {"id": "new"}]
    async with boxes(box := Box("box", ())):
        box.on(MODELS, json_answer({"data": entries}))
        set_up(box.url)
        assert await names("*:vision") == ("llm/seer", "llm/Seer-2")
        assert await names("*2:Vision") == ("llm/Seer-2",)
        box.on(MODELS, json_answer({"data": entries[1::2]}))
        async with asyncio.timeout(10):
            while await ModelList.IS_CHANGED(models="*:vision") != "llm/new":
                await asyncio.sleep(0.05)
        with pytest.raises(UnknownModel, match=r"No model fits 'b\*:vision'.*llm/blind"):
            await names("b*:vision")


async def test_beside_a_pattern_a_model_has_one_name_and_one_that_is_not_there_stays(script: Script) -> None:
    assert await names("gamma\nnobody\n*") == ("llm/gamma", "nobody", "llm/alpha", "llm/beta")


async def test_a_pattern_that_nothing_fits_says_what_there_is(script: Script) -> None:
    with pytest.raises(UnknownModel, match=r"qwen.*llm/alpha"):
        await names("qwen*")


async def test_what_comes_after_a_pattern_runs_again_only_when_it_stands_for_other_models(script: Script) -> None:
    told = await ModelList.IS_CHANGED(models="*")
    assert told == await ModelList.IS_CHANGED(models="*") != ""
    script.on(MODELS, json_answer({"data": [{"id": "alpha"}]}))
    async with asyncio.timeout(10):
        while await ModelList.IS_CHANGED(models="*") == told:
            await asyncio.sleep(0.05)
    assert await names("*") == ("llm/alpha",)


def router(loaded: str, *models: str) -> Answer:
    """What a router lists that has one of its models in memory."""
    return json_answer(
        {"data": [{"id": model, "status": {"value": "loaded" if model == loaded else "unloaded"}} for model in models]}
    )


async def test_auto_stays_what_it_was_whatever_is_loaded_since_and_as_long_as_that_is_there(set_up: SetUp) -> None:
    async with boxes(box := Box("box", ())):
        box.on(MODELS, router("two", "one", "two", "three"))
        set_up(box.url)
        assert await names("auto") == ("llm/two",)
        told = await ModelList.IS_CHANGED(models="auto")
        box.on(MODELS, router("one", "one", "two", "three"))
        before = len(box.received)
        async with asyncio.timeout(10):
            while len(box.received) == before:
                assert await names("auto") == ("llm/two",)
                await asyncio.sleep(0.05)
        assert await names("auto") == ("llm/two",)
        assert await names(" auto \nno-model") == ("llm/one", "no-model")
        assert await ModelList.IS_CHANGED(models="auto") == told
        box.on(MODELS, router("three", "one", "three"))
        async with asyncio.timeout(10):
            while await names("auto") != ("llm/three",):
                await asyncio.sleep(0.05)
        assert await ModelList.IS_CHANGED(models="auto") != told


async def test_auto_is_none_of_the_models_that_stand_beside_it_if_there_is_another(set_up: SetUp) -> None:
    async with boxes(box := Box("box", ())):
        box.on(MODELS, router("first-1b", "first-1b", "second-2b", "third-3b"))
        set_up(box.url)
        assert await names("auto\nfirst-1b") == ("llm/second-2b", "llm/first-1b")
        assert await names("auto\nauto:large\nllm/third*") == ("llm/first-1b", "llm/second-2b", "llm/third-3b")
        assert await names("*\nauto") == ("llm/first-1b", "llm/second-2b", "llm/third-3b")


async def test_a_server_that_hangs_holds_up_no_graph_before_it_can_be_stopped(script: Script, page: Page) -> None:
    script.on(MODELS, stream(End.HANG))
    before = time.monotonic()
    for models in ("*", "auto"):
        told = await ModelList.IS_CHANGED(models=models)
        assert isinstance(told, float) and math.isnan(told)
    assert time.monotonic() - before < 3
    listing = asyncio.create_task(ModelList().name(models="*", unique_id="7"))
    async with asyncio.timeout(5):
        await script.asked.wait()
    page.interrupt()
    before = time.monotonic()
    with pytest.raises(Stopped):
        await listing
    assert time.monotonic() - before < 1


async def test_a_list_that_comes_along_a_link_is_always_asked_for_anew() -> None:
    told = await ModelList.IS_CHANGED(models=None)
    assert isinstance(told, float) and math.isnan(told)


async def test_patterns_without_a_server_say_so(set_up: SetUp) -> None:
    set_up(NOWHERE)
    with pytest.raises((UnknownModel, ServerUnavailable), match="answer"):
        await names("*")
    with pytest.raises(BadInput, match="no model in the list"):
        await names(" \n")


async def prompts(text: str, **options: Any) -> list[tuple[str, str, str]]:
    listed, texts = await PromptList().ask(prompts=text, **options)
    assert texts == [prompt.text for prompt in listed.prompts]
    return [(prompt.name, prompt.text, prompt.system) for prompt in listed.prompts]


async def test_prompts_are_lines_or_blocks() -> None:
    assert await prompts("one\n\ntwo") == [("prompt 1", "one", ""), ("prompt 2", "two", "")]
    assert await prompts("a\nb\n---\nc", system="Be brief.") == [
        ("prompt 1", "a\nb", "Be brief."),
        ("prompt 2", "c", "Be brief."),
    ]


async def test_all_of_a_text_may_be_one_prompt() -> None:
    text = "\nA harbour.\n---\nIn the rain.\n"
    assert await prompts(text, written_as="one prompt", system="Paint.") == [("prompt 1", text.strip(), "Paint.")]
    with pytest.raises(BadInput, match="no prompt"):
        await prompts(" \n", written_as="one prompt")


async def test_prompts_may_be_json_lines_csv_or_toml() -> None:
    line = '{"prompt": "one", "name": "first", "system": "Own."}'
    assert await prompts(line, written_as="JSON lines", system="Be brief.") == [("first", "one", "Own.")]
    assert await prompts("name,prompt\nfirst,one", written_as="CSV") == [("first", "one", "")]
    assert await prompts('[[prompt]]\nprompt = "one"', written_as="TOML") == [("prompt 1", "one", "")]


async def test_a_mistake_in_the_prompts_is_told_with_its_line() -> None:
    with pytest.raises(BadInput, match="line 2"):
        await prompts('{"prompt": "a"}\n{', written_as="JSON lines")
    with pytest.raises(BadInput, match="no prompt"):
        await prompts("\n")


async def test_a_text_cannot_name_a_picture_of_the_machine(tmp_path: Path, picture: bytes) -> None:
    file = tmp_path / "secret.png"
    file.write_bytes(picture)
    with pytest.raises(BadInput, match="only be named in a file"):
        await prompts(f'{{"prompt": "a", "images": ["{file}"]}}', written_as="JSON lines")


async def test_every_prompt_is_asked_about_every_picture() -> None:
    batch = numpy.stack([numpy.zeros((8, 8, 3), "float32"), numpy.ones((8, 8, 3), "float32")])
    listed, _ = await PromptList().ask(prompts="what?\nwhere?", images=batch)
    assert [prompt.name for prompt in listed.prompts] == [
        "picture 1 · prompt 1",
        "picture 1 · prompt 2",
        "picture 2 · prompt 1",
        "picture 2 · prompt 2",
    ]
    first, second, third, _ = (prompt.digests for prompt in listed.prompts)
    assert first == second != third and len(first) == 1
    single, _ = await PromptList().ask(prompts="what?", images=batch)
    assert [prompt.name for prompt in single.prompts] == ["picture 1", "picture 2"]


async def test_lists_in_a_chain_keep_their_prompts_apart() -> None:
    more, _ = await PromptList().ask(prompts="one\ntwo")
    assert await prompts("three", more=more) == [
        ("prompt 1", "one", ""),
        ("prompt 2", "two", ""),
        ("prompt 1 (2)", "three", ""),
    ]
    assert str(more) == repr(more) == "2 prompts" and isinstance(more, Prompts)


async def grid(text: str, **options: str) -> list[str]:
    parameters, count = await ParameterGrid().combine(grid=text, **options)
    assert count == len(parameters.variants)
    return [variant.name for variant in parameters.variants]


async def test_a_grid_is_every_combination_with_a_parameter_in_each_line() -> None:
    assert await grid("temperature=0,0.8\n\nseed=1,2;") == [
        "temperature=0 seed=1",
        "temperature=0 seed=2",
        "temperature=0.8 seed=1",
        "temperature=0.8 seed=2",
    ]
    assert await grid("temperature=0,0.8;seed=1") == ["temperature=0", "temperature=0.8"]
    assert await grid("") == [""]
    with pytest.raises(BadInput, match="heat"):
        await grid("heat=1")


async def test_a_grid_goes_through_system_prompts() -> None:
    parameters, _ = await ParameterGrid().combine(grid="temperature=0,1", systems="Be brief.\nRhyme.")
    assert [(variant.name, variant.system) for variant in parameters.variants] == [
        ("temperature=0 system 1", "Be brief."),
        ("temperature=0 system 2", "Rhyme."),
        ("temperature=1 system 1", "Be brief."),
        ("temperature=1 system 2", "Rhyme."),
    ]


async def test_a_schema_is_for_every_combination() -> None:
    parameters, _ = await ParameterGrid().combine(grid="temperature=0,1", schema='{"type": "object"}')
    assert [variant.schema for variant in parameters.variants] == [{"type": "object"}] * 2
    for wrong in ("{", "[]"):
        with pytest.raises(BadInput, match="no JSON"):
            await grid("", schema=wrong)
