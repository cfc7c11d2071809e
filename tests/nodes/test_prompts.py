"""Prompt Expander: from an idea to prompts, whatever form the model answers in; and the styles, ours and a person's."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy
import pytest

from comfy_nodes import presets
from comfy_nodes.nodes.prompts import PromptExpander
from comfy_nodes.presets import preset, preset_names
from comfy_nodes.wrapping import bare
from llm_bridge.errors import BadAnswer, BadInput, RequestRefused, ServerError
from tests.bridge.boxes import Box, boxes, until
from tests.bridge.servers import End, Received, chunk, json_answer, sse, stream
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.texts import CHAT, says, text_server

SHORT, TAGS = "Short", "Stable Diffusion tags"


async def expanded(idea: str = "a fox", style: str = SHORT, **told: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {"model": "auto", "variants": 1, "seed": 1, "temperature": 0.8, "max_tokens": 0, **told}
    return await PromptExpander().expand(idea=idea, style=style, unique_id="7", **inputs)


async def prompts(*told: str, **inputs: Any) -> tuple[list[str], list[str]]:
    return (await expanded(*told, **inputs))["result"]


def told(**fields: str) -> Any:
    return says(json.dumps(fields))


async def test_the_model_is_held_to_json_and_the_prompt_is_taken_out_of_it(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, told(prompt="a red fox", negative="dogs"))
        set_up(script.url)
        assert await prompts("a fox", TAGS) == (["a red fox"], ["dogs"])
        (body,) = script.bodies(CHAT)
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["prompt", "negative"]
    system, *turns, idea = body["messages"]
    assert "Stable Diffusion 1.5" in system["content"] and "Write in English." in system["content"]
    assert idea == {"role": "user", "content": "a fox"}
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    assert all(json.loads(turn["content"]).keys() == {"prompt", "negative"} for turn in turns[1::2])


async def test_a_style_without_a_negative_prompt_asks_for_none(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, told(prompt="a red fox"))
        set_up(script.url)
        assert await prompts() == (["a red fox"], [""])
        assert "negative" not in json.dumps(script.bodies(CHAT)[0])


async def test_variants_have_seeds_of_their_own_and_stay_in_their_order(set_up: SetUp, page: Page) -> None:
    def by_seed(received: Received) -> Any:
        return told(prompt=f"fox {received.json['seed']}")

    async with text_server() as script:
        script.on(CHAT, by_seed)
        set_up(script.url)
        outputs = await expanded(variants=3, seed=40)
    assert outputs["result"] == (["fox 40", "fox 41", "fox 42"], ["", "", ""])
    assert outputs["ui"] == {"text": ["fox 40\n\nfox 41\n\nfox 42"]} and page.texts[-1] == "fox 40\n\nfox 41\n\nfox 42"
    assert page.progress == [(1, 3), (2, 3), (3, 3)]
    assert any(text.startswith("Variant 1 of 3\n\n") for text in page.texts)


def without_schemas(text: str, status: int = 400) -> Any:
    """A server that refuses schemas, and answers this without one."""

    def answer(received: Received) -> Any:
        if "response_format" in received.json:
            return json_answer({"error": {"message": "response_format is not supported"}}, status)
        return says(text)

    return answer


async def test_where_schemas_are_refused_the_prompt_is_taken_out_of_the_text(set_up: SetUp) -> None:
    wrapped = (
        'Sure! Here is your prompt:\n\n**Prompt:** "a red fox"\n\n**Negative prompt:** `dogs`\n\nLet me know more!'
    )
    async with text_server() as script:
        script.on(CHAT, without_schemas(wrapped))
        set_up(script.url)
        assert await prompts("a fox", TAGS) == (["a red fox"], ["dogs"])
        asked = script.bodies(CHAT)[-1]["messages"]
    assert "no introduction" in asked[0]["content"] and "\nNegative: " in asked[2]["content"]


async def test_a_model_that_cannot_be_held_to_json_is_asked_for_text(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, says("A red fox.\nNegative prompt: dogs"))
        set_up(script.url)
        assert await prompts() == (["A red fox."], ["dogs"])


async def test_what_is_refused_in_any_form_is_raised(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, json_answer({"error": {"message": "Not about foxes."}}, 400))
        set_up(script.url)
        with pytest.raises(RequestRefused, match=r"Not about foxes\."):
            await prompts()


@pytest.mark.parametrize("answer", [told(prompt="  "), told(prompt='""')])
async def test_an_empty_prompt_is_an_error_and_no_prompt(set_up: SetUp, answer: Any) -> None:
    async with text_server() as script:
        script.on(CHAT, answer)
        set_up(script.url)
        with pytest.raises(BadAnswer, match=r"answered no prompt\. Choose another model"):
            await prompts()


async def test_a_thought_without_an_answer_is_told_as_too_few_tokens(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, stream(sse(chunk(reasoning_content="Foxes …"), chunk(finish="length"))))
        set_up(script.url)
        with pytest.raises(BadAnswer, match=r"Raise max_tokens\."):
            await prompts()


async def test_pictures_alone_are_idea_enough_and_nothing_is_not(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, told(prompt="a red fox"))
        set_up(script.url)
        assert (await prompts(" ", images=numpy.zeros((1, 4, 4, 3), "float32"), language=""))[0] == ["a red fox"]
        (body,) = script.bodies(CHAT)
        with pytest.raises(BadInput, match="no idea"):
            await prompts("  ")
    assert [part["type"] for part in body["messages"][-1]["content"]] == ["image_url", "text"]
    assert "Write in" not in body["messages"][0]["content"]


async def test_the_model_is_let_go_of_once_after_all_variants_of_all_items(set_up: SetUp) -> None:
    box = Box("box", ("alpha",))
    async with boxes(box):
        box.on(CHAT, stream(0.01, sse(chunk('{"prompt": "a red fox"}', "stop"))))
        set_up(box.url)
        await asyncio.gather(*(prompts(f"fox {number}", variants=2, unload_after=True) for number in range(4)))
    asked = [each.path for each in box.received if each.method == "POST"]
    assert asked.count("/v1/chat/completions") == 8
    assert asked[-1] == "/models/unload" and asked.count("/models/unload") == 1
    assert box.loaded == []


async def test_a_failure_ends_the_other_variants(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, json_answer({"error": {"message": "no"}}, 500), stream(End.HANG))
        set_up(script.url)
        with pytest.raises(ServerError, match=r"no\. Its log has more"):
            await prompts(variants=3)
        script.on(CHAT, told(prompt="a red fox"))
        assert (await prompts())[0] == ["a red fox"]


async def test_an_interrupted_graph_ends_all_variants(set_up: SetUp, page: Page) -> None:
    async with text_server() as script:
        script.on(CHAT, stream(End.HANG))
        set_up(script.url)
        call = asyncio.create_task(prompts(variants=3))
        await until(lambda: script.bodies(CHAT))
        page.interrupt()
        with pytest.raises(Stopped):
            await call
        await asyncio.wait_for(script.aborted.wait(), 1)


@pytest.mark.parametrize("name", preset_names("expanders"))
def test_each_style_has_an_instruction_and_examples_of_its_own_form(name: str) -> None:
    style = preset("expanders", name)
    assert len(style.text) > 100 and style.examples
    assert all(bool(each.negative) is style.negative and each.prompt == bare(each.prompt) for each in style.examples)


def test_styles_are_offered_as_they_stand_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = Path(presets.__file__).with_name("expanders.toml")
    offered = PromptExpander.INPUT_TYPES()["required"]["style"][0]
    assert offered == list(tomllib.loads(file.read_text(encoding="utf-8"))) and len(offered) >= 6


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a person puts styles of their own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "comfyui-workbench" / "expanders"
    folder.mkdir(parents=True)
    return folder


def test_a_persons_own_style_is_offered_and_replaces_ours_of_the_same_name(own: Path) -> None:
    (own / "mine.toml").write_text('["Haiku"]\ntext = "Write a haiku."\n\n["Short"]\ntext = "Be shorter."\n')
    assert preset_names("expanders")[-1] == "Haiku" and preset_names("expanders").count("Short") == 1
    assert preset("expanders", "Short").text == "Be shorter." and preset("expanders", "Haiku").examples == ()


@pytest.mark.parametrize(
    "text",
    [
        "[",
        'text = "no table"',
        "[A]\n",
        '[A]\ntext = "a"\nprompt = "unknown"',
        '[A]\ntext = "a"\nnegative = "yes"',
        '[A]\ntext = "a"\nexamples = ["b"]',
        '[A]\ntext = "a"\n[[A.examples]]\nidea = "b"',
        '[A]\ntext = "a"\n[[A.examples]]\nidea = "b"\nprompt = 3',
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_others_and_is_told_about_when_chosen(own: Path, text: str) -> None:
    (own / "mine.toml").write_text(text)
    assert preset_names("expanders")[-1] == "mine.toml" and "Short" in preset_names("expanders")
    with pytest.raises(BadInput, match=r"mine\.toml cannot be used") as failure:
        preset("expanders", "mine.toml")
    assert str(own) not in str(failure.value)


def test_a_style_that_is_gone_is_told_with_those_there_are(own: Path) -> None:
    with pytest.raises(BadInput, match=r"no preset 'Haiku'.*Short"):
        preset("expanders", "Haiku")


async def test_a_real_model_expands(set_up: SetUp, llama_router: LlamaServer) -> None:
    set_up(llama_router.url)
    found, negatives = await prompts(model="tiny-a", variants=2, max_tokens=400)
    assert len(found) == 2 and all(found) and negatives == ["", ""]
