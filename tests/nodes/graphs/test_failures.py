"""Graphs that fail say what the server said and what to do; and what a graph tells to whom, with no secret in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.errors import ExecutionFailed
from comfy_mcp.jobs import Graph
from tests.bridge.boxes import until
from tests.bridge.servers import Answer, Received, json_answer
from tests.nodes.graphs.engines import KEY, Ground
from tests.nodes.graphs.running import Listener, Submitter, compared, generate, listener, ours, unseen
from tests.texts import CHAT, answered, hanging

CELLS = "comfyui-workbench.cells"
_PATHS = ("/history", "/object_info", "/comfyui-workbench/models")


async def failure_of(submit: Submitter, graph: Graph) -> str:
    """The message of `execution_error`, which the page shows; our own client tells its first line."""
    prompt_id, running = submit.begin(graph)
    with pytest.raises(ExecutionFailed) as raised:
        await running
    entry = await submit.comfy.history(prompt_id)
    assert entry is not None
    told = entry.last("execution_error")
    assert told is not None
    message = str(told["exception_message"]).strip()
    assert message[:100] in raised.value.message
    return message


async def test_an_unknown_model_is_told_with_those_that_there_are(ground: Ground, submit: Submitter) -> None:
    message = await failure_of(submit, {"1": generate("llm/no-such-model")})
    assert "no-such-model" in message and "tiny-a" in message


async def test_a_prompt_that_is_too_long_is_told_with_the_numbers(ground: Ground, submit: Submitter) -> None:
    message = await failure_of(submit, {"1": generate("llm/tiny-a", "sea " * 4000)})
    assert "(2048 tokens)" in message and message.endswith(
        "Shorten the messages, or load the model with a larger context."
    )


async def test_what_a_server_says_when_it_refuses_is_told_with_a_hint(ground: Ground, submit: Submitter) -> None:
    ground.scripted.on(CHAT, json_answer({"error": {"message": "The moon is in the way."}}, 400))
    message = await failure_of(submit, {"1": generate("scripted/words-1b", seed=unseen())})
    assert "The moon is in the way." in message
    assert not message.endswith("The moon is in the way.")


@pytest.mark.parametrize(("model", "server"), [("anything", "away"), ("away/anything", "any")])
async def test_a_server_that_is_down_is_told_by_its_name(
    ground: Ground, submit: Submitter, model: str, server: str
) -> None:
    graph = {"1": ours("LLMProvider", server=server), "2": generate(model, provider=["1", 0])}
    assert "away does not answer." in await failure_of(submit, graph)


async def test_an_item_of_a_list_that_fails_is_the_failure_of_the_node(ground: Ground, submit: Submitter) -> None:
    def picky(received: Received) -> Answer:
        if "two" in str(received.json["messages"]):
            return json_answer({"error": {"message": "I do not say two."}}, 400)
        return answered(received)

    ground.scripted.on(CHAT, picky)
    graph = {
        "1": ours("PromptList", prompts="one\ntwo\nthree", written_as="lines or blocks"),
        "2": generate("scripted/words-1b", ["1", 1], seed=unseen()),
    }
    assert "I do not say two." in await failure_of(submit, graph)
    assert (await submit({"1": generate("scripted/words-1b", "Four.")})).shown("1") == ["words-1b on Four."]


async def test_a_cell_that_fails_fails_alone(ground: Ground, submit: Submitter) -> None:
    done = await submit(compared("llm/tiny-a\nllm/no-such-model", "the sea\nthe sky"))
    cells = done.outputs["4"]["comparison"][0]["cells"]
    assert [cell["state"] for cell in cells] == ["done", "failed"] * 2
    assert "no-such-model" in cells[1]["error"]


def saved(seed: int) -> Graph:
    return {
        "1": ours("LLMProvider", server="scripted"),
        "2": generate("words-1b", seed=seed, provider=["1", 0]),
        "3": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 16, "batch_size": 1, "color": 255}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "graphs"}},
        **{f"{node}0": told for node, told in compared("scripted/words-1b", "a").items() if node == "1"},
    }


async def test_no_key_and_no_path_of_ours_is_told_to_anybody(ground: Ground, submit: Submitter) -> None:
    def echo(received: Received) -> Answer:
        return json_answer({"error": {"message": f"No: {received.headers['authorization']}"}}, 403)

    async with listener(submit.comfy) as page:
        done = await submit(saved(unseen()), keep_in_comfyui=True)
        assert {received.headers.get("authorization") for received in ground.scripted.received} == {f"Bearer {KEY}"}
        (picture,) = done.files
        assert b"WorkbenchLLMGenerate" in picture.data
        await page.run(submit.comfy, saved(unseen()))
        ground.scripted.on(CHAT, echo)
        failed = await page.run(submit.comfy, {**saved(unseen()), **compared("scripted/*", "a")})
        assert failed.last("execution_error") is not None
        told = {
            "the picture": picture.data.decode("latin-1"),
            "the events": json.dumps(page.events) + "".join(text for _, _, text in page.texts),
            **{path: await _read(submit.comfy, path) for path in _PATHS},
        }
    for place, text in told.items():
        for secret in (KEY, "GRAPHS_KEY", "llm-servers-of-the-tests"):
            assert secret not in text, f"{secret} in {place}"
    # A failure tells where in the code it was raised, as that of every node; nothing else of ours has a path.
    assert "comfyui-workbench/" not in json.dumps([_without_traces(failed.messages), page.texts, failed.outputs])


async def _read(comfy: ComfyUI, path: str) -> str:
    async with httpx.AsyncClient(base_url=comfy.url, trust_env=False, timeout=30) as http:
        return (await http.get(path)).raise_for_status().text


def _without_traces(messages: Any) -> Any:
    return [(kind, {name: told for name, told in data.items() if name != "traceback"}) for kind, data in messages]


async def test_only_the_page_that_submitted_is_told_of_the_answers(ground: Ground, comfy: ComfyUI) -> None:
    ground.scripted.on(CHAT, hanging(rest := asyncio.Event()), answered)
    graph = {**compared("scripted/words-1b\nllm/tiny-b", "the sea"), "9": generate("llm/tiny-a", seed=7)}
    async with listener(comfy) as mine, listener(comfy) as other:
        running = asyncio.create_task(mine.run(comfy, graph))
        await until(lambda: ("text", "Once") in [(cell["state"], cell["text"]) for cell in cells_told(mine)], 20)
        rest.set()
        entry = await running
        # What everybody is told comes after all that others could have been told.
        await until(lambda: other.told("status")[-1]["status"]["exec_info"]["queue_remaining"] == 0)
    told = mine.told(CELLS)
    assert {each["node"] for each in told} == {"4"} and told[0]["done"] == 0
    assert (told[-1]["done"], told[-1]["total"]) == (2, 2)
    assert [cell["state"] for cell in cells_told(mine)].count("done") == 2
    assert entry.outputs["9"]["text"] == [[text for _, node, text in mine.texts if node == "9"][-1]]
    assert {kind for _, kind, _ in other.events} <= {"status", "feature_flags"}
    assert other.texts == []


def cells_told(page: Listener) -> list[dict[str, Any]]:
    return [cell for told in page.told(CELLS) for cell in told["cells"]]


async def test_a_program_without_a_page_tells_nobody(ground: Ground, comfy: ComfyUI) -> None:
    async with listener(comfy) as other, httpx.AsyncClient(base_url=comfy.url, trust_env=False) as http:
        asked = await http.post("/prompt", json={"prompt": compared("llm/tiny-a", "the sea")})
        prompt_id = asked.raise_for_status().json()["prompt_id"]
        async with asyncio.timeout(60):
            while await comfy.history(prompt_id) is None:
                await asyncio.sleep(0.05)
        assert CELLS not in {kind for _, kind, _ in other.events}
        assert [text for _, node, text in other.texts if node == "4"] == []
