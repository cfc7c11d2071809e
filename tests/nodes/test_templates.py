"""The templates that compare, judge, caption and paint: whole, fit for the nodes, and run by a chat from end to end."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from comfy_mcp.workflows import ObjectInfo, bind, check, shipped_folder
from comfy_mcp.workflows.graph import links_in
from tests.bridge.servers import Answer, Received, Script
from tests.llama.servers import LlamaServer
from tests.nodes.shipping import TEMPLATES, object_info_of, running_pack
from tests.server.chats import in_memory, over_http, pictures_of, text_of
from tests.texts import CHAT, NOWHERE, models_asked, says, text_server
from tests.workflows.samples import SHIPPED

PROMISED = {
    "caption_and_judge": "image question models judge",
    "compare_models": "prompts models system parameters repeats seed checks",
    "expand_and_paint": (
        "prompt negative models judge instructions text_seed "
        "width height seed steps cfg sampler scheduler batch checkpoint"
    ),
    "judge_models": "prompts models judge criteria seed",
}
SMALL = {"width": 64, "height": 64, "steps": 2, "seed": 7}


def judging(received: Received) -> Answer:
    """Sees or writes, one model more than the other, and prefers the longer of two answers."""
    body = received.json
    asked = body["messages"][-1]["content"]
    text = asked if isinstance(asked, str) else " ".join(part.get("text", "") for part in asked)
    sides = dict(re.findall(r'<answer id="([AB])">(.*?)</answer>', text, re.DOTALL))
    if sides:
        return says(f'{{"reason": "It says more.", "winner": "{max(sides, key=lambda side: len(sides[side]))}"}}')
    does = "sees a gradient" if "image_url" in str(asked) else "writes a prompt"
    return says(f"{body['model']} {does}" + ", in black and white" * (body["model"] == "eyes-9b"))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def script() -> AsyncGenerator[Script]:
    """What the nodes call llm-2: nobody knows whether its models see, and of the router's everybody knows."""
    async with text_server(("eyes-9b", "eyes-1b")) as script:
        script.on(CHAT, judging)
        yield script


@pytest.fixture(scope="module")
def url(script: Script, llama_router: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A ComfyUI with the nodes; llm is a real router of three models."""
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), llama_router.url, script.url) as url:
        yield url


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> Generator[ObjectInfo]:
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), NOWHERE) as url:
        yield object_info_of(url)


async def ran(comfyui: str, data: Path, template: str, **values: Any) -> types.CallToolResult:
    """As a chat runs it, to its end."""
    async with over_http(data, comfyui) as chat:
        return await chat.call_tool("run_template", {"template": template, "values": values, "wait": 120})


def told(result: types.CallToolResult) -> str:
    assert not result.is_error, text_of(result)
    return text_of(result)


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_has_what_was_promised_with_a_word_of_help(name: str) -> None:
    template = SHIPPED.get(name)
    assert list(template.parameters) == PROMISED[name].split()
    assert 40 <= len(template.description) <= 200
    for parameter, about in template.parameters.items():
        assert about.label and about.help.endswith(".") and len(about.help) <= 80, parameter


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_defaults_are_those_of_its_graph_and_pass_the_checks(name: str, info: ObjectInfo) -> None:
    template = SHIPPED.get(name)
    bound = bind(template, dict.fromkeys(template.required, "x"), object_info=info)
    check(bound, info)
    assert bound.warnings == ()
    for parameter, about in template.parameters.items():
        values = [template.graph[place.node]["inputs"][place.input] for place in about.bind]
        assert about.default is None or values == [about.default], parameter


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_graph_is_as_exported_and_every_node_has_a_title_and_a_use(name: str, info: ObjectInfo) -> None:
    graph = SHIPPED.get(name).graph
    text = (shipped_folder() / name / "workflow.json").read_text("utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    used = {source for _, _, (source, _) in links_in(graph)}
    for node, content in graph.items():
        assert content["_meta"]["title"]
        assert node in used or info.node(content["class_type"]).output_node


def test_it_is_painted_with_the_parameters_of_any_other_picture() -> None:
    ours, theirs = SHIPPED.get("expand_and_paint").parameters, SHIPPED.get("txt2img").parameters
    assert ours.keys() & theirs.keys() == {"prompt", *PROMISED["expand_and_paint"].split()[6:], "negative"}
    assert all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys() - {"prompt"})


async def test_models_are_compared_in_a_table_pictures_and_a_chart(url: str, tmp_path: Path) -> None:
    asked = {"prompts": "the sea\nthe sky", "models": "llm/*", "parameters": "max_tokens=8", "checks": "min-words:1"}
    text = told(result := await ran(url, tmp_path, "compare_models", **asked))
    assert "3 models · 2 prompts: 6 of 6 cells answered" in text
    assert all(f"llm/{model}" in text for model in ("tiny-a", "tiny-b", "tiny-think")) and "the sky" in text
    pages, speed = pictures_of(result)
    assert pages.width > 400 and speed.width > 400


async def test_a_larger_model_judges_the_others(url: str, tmp_path: Path, script: Script) -> None:
    values = {"prompts": "the sea", "models": "llm/tiny-a\nllm-2/eyes-1b", "judge": "llm-2/eyes-9b", "seed": 3}
    result = await ran(url, tmp_path, "judge_models", **values, criteria="Prefer the longer one.")
    assert "1. **llm/tiny-a** " in told(result) and "won 1 of 1" in told(result)
    assert len(pictures_of(result)) == 2
    assert models_asked(script).count("eyes-9b") == 2
    assert "Prefer the longer one." in str(script.bodies(CHAT)[-1])


async def test_a_picture_is_described_by_all_that_see_and_the_best_is_given(
    url: str, tmp_path: Path, picture: bytes
) -> None:
    text = told(await ran(url, tmp_path, "caption_and_judge", image=base64.b64encode(picture).decode()))
    assert "1. **llm-2/eyes-9b** " in text and "| llm-2/eyes-1b" in text and "llm/tiny" not in text
    assert "eyes-9b sees a gradient, in black and white" in text.splitlines()


async def test_one_model_is_enough_to_paint_and_is_gone_before(url: str, tmp_path: Path, script: Script) -> None:
    before = len(script.received)
    asked = {"prompt": "a lighthouse\nin the rain", "models": "llm/tiny-a", "judge": "nobody", **SMALL}
    text = told(result := await ran(url, tmp_path, "expand_and_paint", **asked))
    assert "1 model · 1 prompt: 1 of 1 cell answered" in text and "nothing to judge" in text
    assert "Unloaded: llm/tiny-a" in text and "procedural" in text
    (painted,) = pictures_of(result)
    assert painted.size == (64, 64)
    assert [each for each in script.received[before:] if each.method == "POST"] == []


async def test_of_several_prompts_the_best_is_painted(url: str, tmp_path: Path) -> None:
    asked = {"prompt": "a lighthouse", "models": "eyes-1b\neyes-9b", "judge": "eyes-9b", **SMALL}
    text = told(await ran(url, tmp_path, "expand_and_paint", **asked))
    assert "1. **eyes-9b** " in text and "eyes-9b writes a prompt, in black and white" in text.splitlines()


@pytest.mark.parametrize("name", TEMPLATES)
async def test_without_the_nodes_a_chat_is_told_which_are_missing_and_how_to_get_them(
    name: str, embedded_url: str, tmp_path: Path, picture: bytes
) -> None:
    values = {"image": base64.b64encode(picture).decode(), "prompt": "a lighthouse"}
    required = {key: values[key] for key in SHIPPED.get(name).required}
    async with in_memory(tmp_path, embedded_url) as chat:
        assert f"{name}: {SHIPPED.get(name).description}" in (await _said(chat, "list_templates")).splitlines()
        refused = await chat.call_tool("run_template", {"template": name, "values": required})
    missing = {each["class_type"] for each in SHIPPED.get(name).graph.values()}
    missing = sorted(each for each in missing if each.startswith("Workbench"))
    assert refused.is_error and "ComfyUI lacks the nodes " + ", ".join(map(repr, missing)) in text_of(refused)
    assert "comfy-workbench install-nodes" in text_of(refused)


async def _said(chat: Client, tool: str) -> str:
    return text_of(await chat.call_tool(tool, {}))
