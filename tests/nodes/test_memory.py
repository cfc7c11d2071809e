"""Unload LLM and Free VRAM: what goes through them comes out as it is, once the card is free."""

from __future__ import annotations

import sys
from operator import ne
from typing import Any

import pytest

from comfy_nodes.nodes.memory import FreeVRAM, UnloadLLM
from comfy_nodes.values import Provider
from tests.bridge.boxes import Box, boxes, until
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page
from tests.nodes.conftest import SetUp
from tests.nodes.generating import generated
from tests.texts import text_server


async def through(value: list[Any], model: str = "", provider: str | None = None) -> tuple[list[Any], str]:
    """As ComfyUI calls a node that takes lists: every input is one."""
    inputs: dict[str, Any] = {} if provider is None else {"provider": [Provider(provider)]}
    told = await UnloadLLM().unload(value=value, model=[model], unique_id=["7"], **inputs)
    assert told["ui"] == {"text": [f"Unloaded: {told['result'][1] or 'none'}"]}
    return told["result"]


async def test_a_list_goes_through_as_it_is_and_costs_one_unload(set_up: SetUp) -> None:
    box, value = Box("box", ("alpha", "beta")), [object(), "two", 3]
    async with boxes(box):
        box.loaded = ["alpha"]
        set_up(box.url)
        came, unloaded = await through(value)
        assert came is value and unloaded == "llm/alpha" and box.loaded == []
        assert [each.path for each in box.received].count("/models/unload") == 1


async def test_models_are_named_by_name_server_or_pattern(set_up: SetUp) -> None:
    one, two = Box("one", ("qwen-1", "Qwen-2", "gemma")), Box("two", ("gemma",))
    async with boxes(one, two):
        set_up(one.url, two.url)
        one.loaded, two.loaded = ["qwen-1", "Qwen-2", "gemma"], ["gemma"]
        assert (await through([1], "qwen*"))[1] == "llm/qwen-1, llm/Qwen-2"
        assert (await through([1], "llm-2/gemma"))[1] == "llm-2/gemma" and one.loaded == ["gemma"]
        assert (await through([1], "gemma", "llm"))[1] == "llm/gemma"
        assert (await through([1], "gemma", "llm"))[1] == ""


async def test_where_there_is_nothing_to_unload_the_value_goes_on_and_it_is_said_why(set_up: SetUp) -> None:
    box = Box("box", ("gemma",))
    async with boxes(box):
        set_up(box.url, "http://127.0.0.1:9")
        for model in ("gema", "gema*", "auto:nonsense"):
            came, said = await through([1], model)
            assert came == [1] and said.startswith("none. ") and model.removeprefix("auto:") in said
        came, said = await through([1], provider="three")
        assert came == [1] and said.startswith("none. There is no LLM server called 'three'.")
        came, said = await through([1], "gemma", "llm-2")
        assert came == [1] and said.startswith("none. ") and "llm-2" in said
        box.loaded = ["gemma"]
        told = await UnloadLLM().unload(value=[1], model=["gema", "gemma"])
        assert told["result"][1].startswith("llm/gemma. No ") and box.loaded == []


async def test_without_any_server_the_value_goes_on(set_up: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up()

    async def nobody() -> list[Any]:
        return []

    monkeypatch.setattr("comfy_nodes.servers.scan", nobody)
    assert await through([1]) == ([1], "")
    came, said = await through([1], "qwen*")
    assert came == [1] and said.startswith("none. No LLM server was found")


async def test_a_server_that_cannot_unload_or_is_away_holds_nothing_up(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url, "http://127.0.0.1:9")
        assert await through(["value"]) == (["value"], "")


async def test_a_real_model_is_gone_when_the_value_comes_out(set_up: SetUp, llama_router: LlamaServer) -> None:
    set_up(llama_router.url)
    (text, *_) = await generated(model="tiny-b", max_tokens=2)
    assert llama_router.instances()
    assert await through([text]) == ([text], "llm/tiny-b")
    await until(lambda: not llama_router.instances())


def test_comfyui_frees_its_memory_once_for_a_whole_list(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    management = sys.modules["comfy.model_management"]
    monkeypatch.setattr(management, "unload_all_models", lambda: done.append("unloaded"), raising=False)
    monkeypatch.setattr(management, "soft_empty_cache", lambda: done.append("emptied"), raising=False)
    value = ["a", "b", "c"]
    assert FreeVRAM().free(value=value)[0] is value
    assert done == ["unloaded", "emptied"]


@pytest.mark.parametrize("node", [UnloadLLM, FreeVRAM])
def test_anything_can_be_linked_and_what_runs_after_is_cached(node: Any) -> None:
    kind = node.INPUT_TYPES()["required"]["value"][0]
    assert str(kind) == "*"
    # ComfyUI asks whether two types differ.
    assert not ne(kind, "LATENT") and not ne(node.RETURN_TYPES[0], "MODEL")
    assert node.INPUT_IS_LIST and node.OUTPUT_IS_LIST[0] and not hasattr(node, "IS_CHANGED")
