"""LLM Provider and LLM Generate: what is asked, what comes out, and what the node shows meanwhile."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from typing import Any

import numpy
import pytest

from comfy_nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from comfy_nodes.nodes.generate import LLMGenerate, LLMProvider
from comfy_nodes.values import Provider
from llm_bridge.errors import BadAnswer, BadInput, BridgeError, RequestRefused, SchemaMismatch, UnknownModel
from tests.bridge.servers import chunk, json_answer, sse, stream
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page
from tests.nodes.conftest import SetUp
from tests.nodes.generating import generated
from tests.texts import CHAT, says, text_server

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
KNOWN = ("text", "reasoning", "usage", "metrics", "tokens", "tokens_per_second", "ttft")


def by_name(outputs: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(LLMGenerate.RETURN_NAMES, outputs, strict=True))


def test_the_provider_is_a_name_and_any_is_none() -> None:
    assert LLMProvider().choose("ollama") == (Provider("ollama"),)
    assert LLMProvider().choose("any") == (Provider(),)


def test_the_nodes_are_there_under_the_names_of_their_classes() -> None:
    assert NODE_CLASS_MAPPINGS["WorkbenchLLMGenerate"] is LLMGenerate
    assert NODE_DISPLAY_NAME_MAPPINGS["WorkbenchLLMGenerate"] == "LLM Generate"
    assert NODE_CLASS_MAPPINGS.keys() == NODE_DISPLAY_NAME_MAPPINGS.keys()


@pytest.mark.parametrize("node", NODE_CLASS_MAPPINGS.values(), ids=NODE_CLASS_MAPPINGS)
def test_a_node_tells_comfyui_what_it_needs_to_know(node: Any) -> None:
    inputs = node.INPUT_TYPES()
    json.dumps(inputs)
    assert callable(getattr(node, node.FUNCTION)) and node.DESCRIPTION and node.CATEGORY.startswith("Workbench/")
    outputs = len(node.RETURN_TYPES)
    assert len(node.RETURN_NAMES) == outputs
    assert len(getattr(node, "OUTPUT_TOOLTIPS", range(outputs))) == outputs
    assert len(getattr(node, "OUTPUT_IS_LIST", range(outputs))) == outputs
    names = [name for group in ("required", "optional") for name in inputs.get(group, {})]
    assert not [name for name in names if any(word in name.lower() for word in ("key", "url", "token_", "host"))]


async def test_everything_that_is_set_is_sent(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        await generated("Hi?", model="alpha", system="Be brief.", seed=7, temperature=0.25, max_tokens=9)
        (body,) = script.bodies(CHAT)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi?"}]
    assert (body["seed"], body["temperature"], body["max_tokens"]) == (7, 0.25, 9)


async def test_what_is_left_to_the_server_is_not_sent(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        await generated("Hi?", model="alpha", temperature=-1.0, max_tokens=0)
        (body,) = script.bodies(CHAT)
    assert len(body["messages"]) == 1
    assert not {"temperature", "max_tokens", "response_format", "tools"} & body.keys()


NO_NUMBERS = [
    *({"temperature": value} for value in (math.nan, math.inf, -math.inf, "0.7", None)),
    *({"max_tokens": value} for value in (math.nan, math.inf, 2**64, "9", None)),
    *({"seed": value} for value in (math.nan, -(2**70), 10**400, "1", None)),
]


@pytest.mark.parametrize("told", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
async def test_what_a_link_brings_that_is_no_number_is_told_by_its_name(set_up: SetUp, told: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=rf"The {next(iter(told))} cannot be .*\. Give a number\."):
        await generated(**told)


async def test_numbers_below_nought_leave_it_to_the_server(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        await generated("Hi?", model="alpha", temperature=-0.5, max_tokens=-3, seed=2**63)
        (body,) = script.bodies(CHAT)
    assert not {"temperature", "max_tokens"} & body.keys() and body["seed"] == 2**63


async def test_pictures_stand_before_the_text(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        await generated("What is it?", model="alpha", images=numpy.zeros((2, 4, 4, 3), "float32"))
        (body,) = script.bodies(CHAT)
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "image_url", "text"]


async def test_an_answer_comes_with_what_the_server_counted(set_up: SetUp) -> None:
    thought = chunk(reasoning_content="Hm. ")
    async with text_server() as script:
        script.on(CHAT, says("Yes.", sse(thought, done=False)))
        set_up(script.url)
        outputs = by_name(await generated(model="alpha"))
    assert (outputs["text"], outputs["reasoning"], outputs["tokens"]) == ("Yes.", "Hm. ", 2)
    assert json.loads(outputs["usage"])["prompt"] == 7 and outputs["ttft"] >= 0
    metrics = json.loads(outputs["metrics"])
    assert (metrics["server"], metrics["finish"], metrics["load"]) == ("llm", "stop", None)


async def test_what_the_server_does_not_tell_is_minus_one_or_null_and_never_nought(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, stream(sse(chunk("Yes.", "stop"))))
        set_up(script.url)
        outputs = by_name(await generated(model="alpha"))
    assert (outputs["tokens"], outputs["tokens_per_second"]) == (-1, -1.0)
    assert set(json.loads(outputs["usage"]).values()) == {None}
    assert json.loads(outputs["metrics"])["tokens_per_second"] is None


async def test_the_text_grows_in_the_node_and_the_bar_with_it(set_up: SetUp, page: Page) -> None:
    pieces = [step for _ in range(4) for step in (sse(chunk("ab"), done=False), 0.11)]
    async with text_server() as script:
        script.on(CHAT, stream(sse(chunk(reasoning_content="Hm."), done=False), 0.11, *pieces, sse(chunk("c", "stop"))))
        set_up(script.url)
        await generated(model="alpha", max_tokens=8)
    thinking, *texts = [text for text in page.texts if not text.endswith("…")]
    assert thinking == "Thinking …\n\nHm."
    assert texts[-1] == "ababababc" and texts == sorted(texts, key=len)
    assert page.progress[0] == (1, 8) and page.progress[-1] == (1, 1)


async def test_a_bar_that_moves_for_every_token_is_told_a_few_times_a_second(set_up: SetUp, page: Page) -> None:
    async with text_server() as script:
        pieces = [step for _ in range(100) for step in (0.002, sse(chunk("a"), done=False))]
        script.on(CHAT, stream(*pieces, sse(chunk(finish="stop"))))
        set_up(script.url)
        await generated(model="alpha", max_tokens=500)
    assert 1 <= len(page.progress) < 30


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [(400, "The prompt has a bad word.", RequestRefused), (404, "model 'x' not found", UnknownModel)],
)
async def test_a_refusal_is_raised_with_the_servers_words_and_what_to_do(
    set_up: SetUp, status: int, words: str, kind: type[BridgeError]
) -> None:
    async with text_server() as script:
        script.on(CHAT, json_answer({"error": {"message": words}}, status))
        set_up(script.url)
        with pytest.raises(kind) as failure:
            await generated(model="alpha")
    assert words in str(failure.value) and failure.value.hint in str(failure.value) and failure.value.hint


async def test_an_answer_fits_the_schema_or_is_an_error(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        script.on(CHAT, says('{"ok": true}'))
        assert json.loads((await generated(model="alpha", schema=json.dumps(SCHEMA)))[0]) == {"ok": True}
        assert script.bodies(CHAT)[0]["response_format"]["json_schema"]["schema"] == SCHEMA
        script.on(CHAT, says("I will not."))
        with pytest.raises(SchemaMismatch):
            await generated(model="alpha", schema=json.dumps(SCHEMA))


@pytest.mark.parametrize("schema", ["{", "[]", '"text"', "[" * 100_000])
async def test_a_schema_that_is_none_is_told_before_anybody_is_asked(set_up: SetUp, schema: str) -> None:
    with pytest.raises(BadInput, match="Give a JSON Schema, or nothing"):
        await generated(model="alpha", schema=schema)


@pytest.mark.parametrize(("think", "sent"), [("as the model likes", None), ("think", True), ("do not think", False)])
async def test_whether_a_model_thinks_is_up_to_the_person(set_up: SetUp, think: str, sent: bool | None) -> None:
    async with text_server(("tiny",)) as script:
        script.on("GET /props", json_answer({"build_info": "b1", "default_generation_settings": {}}))
        set_up(script.url)
        await generated(model="auto", think=think)
        (body,) = script.bodies(CHAT)
    assert body.get("chat_template_kwargs", {}).get("enable_thinking") is sent


async def test_memory_is_freed_in_the_graphs_own_thread_before_anything_is_asked(
    set_up: SetUp, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[bool] = []
    async with text_server() as script:
        set_up(script.url)
        management, loop = sys.modules["comfy.model_management"], asyncio.get_running_loop()

        def unload_all() -> None:
            freed.append(asyncio.get_running_loop() is loop and not script.received)

        monkeypatch.setattr(management, "unload_all_models", unload_all, raising=False)
        monkeypatch.setattr(management, "soft_empty_cache", lambda: None, raising=False)
        await generated(model="alpha")
        assert freed == []
        script.received.clear()
        await generated(model="alpha", free_vram_first=True)
    assert freed == [True]


async def test_a_real_model_answers_and_one_that_only_thinks_does_not(set_up: SetUp, llama_router: LlamaServer) -> None:
    set_up(llama_router.url)
    with pytest.raises(BadAnswer, match="used up its tokens before it answered"):
        await generated(model="llm/tiny-think", max_tokens=12)
    outputs = by_name(await generated(model="llm/tiny-a", max_tokens=12))
    assert tuple(outputs) == KNOWN and outputs["tokens"] > 0 and outputs["tokens_per_second"] > 0
    assert outputs["text"] and json.loads(outputs["usage"])["prompt"] > 0
