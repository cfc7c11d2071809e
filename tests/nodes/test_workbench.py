"""The nodes in front of a workbench: every request says which prompt asks, and a real one answers them all."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from comfy_nodes.nodes.captions import CaptionImages
from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.nodes.judging import Judge
from comfy_nodes.nodes.lists import ModelList
from comfy_nodes.nodes.memory import UnloadLLM
from comfy_nodes.nodes.prompts import PromptExpander
from comfy_nodes.servers import close_servers
from comfy_nodes.thread import handed_over
from comfy_nodes.values import Compared, Models, Prompts
from llm_bridge.compare import Prompt
from llm_bridge.compare.judge import CRITERIA
from llm_bridge.errors import KeyRefused
from llm_bridge.providers.workbench import ATTEMPT
from tests.bridge.providers.scripted import CHAT, recorded
from tests.bridge.servers import Answer, Received, Script, json_answer, scripted
from tests.nodes.calling import Page
from tests.nodes.comparisons import compared
from tests.nodes.conftest import SetUp
from tests.nodes.generating import generated
from tests.nodes.test_captions import greys
from tests.texts import answered, says, text_server
from tests.workbenches import served

WITHIN = "0b7ad9d2-6c1c-4c43-8f6e-3f7c9d0c2a11"


def helpful(received: Received) -> Answer:
    """Says what each node wants to hear: a judgement, a prompt as JSON, or a text."""
    body = received.json
    asked = str(body["messages"][-1]["content"])
    if re.search(r'<answer id="[AB]">', asked):
        return says('{"reason": "It is longer.", "winner": "A"}')
    if "response_format" in body:
        return says('{"prompt": "a red fox"}')
    return says(f"{body['model']} says something.")


@pytest.fixture
async def script(set_up: SetUp, page: Page, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Script]:
    """A workbench called llm, while ComfyUI runs the prompt."""
    monkeypatch.setattr(page, "last_prompt_id", WITHIN, raising=False)
    async with scripted(CHAT, helpful) as script:
        script.on("GET /v1/models", json_answer(recorded("workbench", "models")))
        set_up(script.url)
        yield script


async def compare(models: str = "qwen3-8b gemma3:4b", **options: Any) -> Compared:
    asked = Prompts((Prompt("sea", "the sea"),))
    told = await LLMCompare().compare(models=Models(tuple(models.split())), prompts=asked, unique_id="7", **options)
    return told["result"][0]


async def generate() -> None:
    await generated(model="qwen3-8b")


async def caption() -> None:
    inputs: dict[str, Any] = {"style": "Caption", "seed": 1, "temperature": 0.2, "max_tokens": 64}
    await CaptionImages().caption(images=greys(1), unique_id="7", model="gemma3:4b", **inputs)


async def expand() -> None:
    inputs: dict[str, Any] = {"variants": 1, "seed": 1, "temperature": 0.8, "max_tokens": 0}
    await PromptExpander().expand(idea="a fox", style="Short", unique_id="7", model="auto", **inputs)


async def judge() -> None:
    given: dict[str, Any] = {"criteria": CRITERIA, "seed": 0, "most_pairs": 200, "max_tokens": 2048}
    results = await compared({"llm/a": ["Good."], "llm/b": ["Bad."]}, (Prompt("sea", "the sea"),))
    await Judge().judge(
        results=results, judge="qwen3-8b", show_images=True, unload="leave loaded", unique_id="7", **given
    )


@pytest.mark.parametrize("node", [generate, caption, expand, compare, judge])
async def test_every_request_of_a_node_says_which_prompt_asks(
    script: Script, node: Callable[[], Awaitable[object]]
) -> None:
    await node()
    sent = [each for each in script.received if each.method == "POST"]
    assert sent and {each.headers.get(ATTEMPT.lower()) for each in sent} == {WITHIN}
    assert WITHIN not in str([each.body for each in sent])


async def test_another_prompt_is_answered_from_what_is_kept(
    script: Script, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await compare()
    asked = len(script.bodies(CHAT))
    monkeypatch.setattr(page, "last_prompt_id", "another", raising=False)
    assert (await compare()).run == first.run
    assert len(script.bodies(CHAT)) == asked == 2


async def test_what_a_workbench_has_loaded_is_its_own_business(script: Script) -> None:
    await generate()
    value = [object()]
    told = await UnloadLLM().unload(value=value, model=[""], unique_id=["7"])
    assert told["result"] == (value, "")
    assert {each.path for each in script.received if each.method == "POST"} == {"/v1/chat/completions"}


@pytest.fixture
async def behind(set_up: SetUp, tmp_path: Path, embedded_url: str) -> AsyncGenerator[Script]:
    """The one server of a real workbench, which the nodes know as llm."""
    async with text_server() as script:
        script.on(CHAT, answered)
        async with served(tmp_path / "data", embedded_url, llm_url=script.url) as workbench:
            set_up(str(workbench.base_url))
            yield script


async def test_through_a_real_workbench_the_same_is_asked_and_answered(behind: Script) -> None:
    text, *_, metrics, tokens, _, _ = await generated(
        "Hi?", model="alpha", system="Be brief.", seed=7, temperature=0.25, max_tokens=9
    )
    assert text == "alpha on Hi?" and tokens == 2 and '"server": "llm"' in metrics
    (body,) = behind.bodies(CHAT)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi?"}]
    assert (body["model"], body["seed"], body["temperature"], body["max_tokens"]) == ("alpha", 7, 0.25, 9)


async def test_a_real_workbench_lists_its_text_models_and_no_workflow(behind: Script) -> None:
    found, names = await ModelList().name(models="*", unique_id="7")
    assert list(found.names) == names == ["llm/llm/alpha", "llm/llm/beta"]


async def test_the_key_of_a_workbench_comes_from_the_environment(
    set_up: SetUp, tmp_path: Path, embedded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_KEY", "a-token-of-some-length")
    settings = tmp_path / ".cache" / "comfyui-workbench" / "llm_servers.toml"
    settings.parent.mkdir(parents=True)
    async with (
        text_server() as script,
        served(tmp_path / "data", embedded_url, llm_url=script.url, token="a-token-of-some-length") as workbench,
    ):
        settings.write_text(
            f'[[llm_servers]]\nname = "workbench"\nurl = "{workbench.base_url}"\nkey_env = "WORKBENCH_KEY"\n'
        )
        assert (await generated("Hi?", model="workbench/alpha"))[0] == "alpha on Hi?"
        monkeypatch.setenv("WORKBENCH_KEY", "another-token-of-some-length")
        await handed_over(close_servers())
        with pytest.raises(KeyRefused):
            await generated("Hi?", model="workbench/alpha")


async def test_a_comparison_through_a_real_workbench_answers_every_cell(behind: Script) -> None:
    done = await compare("alpha llm/llm/beta", repeats=2)
    texts = [result.reply.text for result in done.results.cells if result.reply is not None]
    assert sorted(texts) == ["alpha on the sea"] * 2 + ["beta on the sea"] * 2
