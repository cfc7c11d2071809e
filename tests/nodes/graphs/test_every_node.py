"""Every node of the pack in a graph, with real models; where a verdict or eyes are needed, with a scripted server."""

from __future__ import annotations

import io
import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from PIL import Image

from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.jobs import Graph
from tests.bridge.boxes import until
from tests.bridge.servers import Answer, Received
from tests.nodes.graphs.engines import Ground
from tests.nodes.graphs.running import Submitter, generate, ours, show, unseen
from tests.texts import CHAT, says

ROUTED = ["llm/tiny-a", "llm/tiny-b", "llm/tiny-think"]
PROMPTS = "the sea\nthe sky"


def comparing(**changed: Any) -> dict[str, Any]:
    """LLM Compare of the nodes 1 (models), 2 (prompts) and 3 (parameters)."""
    inputs: dict[str, Any] = {"repeats": 1, "seed": 3, "max_tokens": 8, "checks": "min-words:1"}
    inputs |= {"unload": "leave loaded", "use_earlier_answers": False, "free_vram_first": False, **changed}
    return ours("LLMCompare", models=["1", 0], prompts=["2", 0], parameters=["3", 0], **inputs)


def compared(models: str = "*", grid: str = "temperature=0.2,0.9") -> Graph:
    """Nodes 0 to 4, the last of which compares."""
    return {
        "0": ours("LLMProvider", server="llm"),
        "1": ours("ModelList", models=models, provider=["0", 0]),
        "2": ours("PromptList", prompts=PROMPTS, written_as="lines or blocks"),
        "3": ours("ParameterGrid", grid=grid),
        "4": comparing(),
    }


def one_question() -> Graph:
    shown = {f"{number + 10}": show("1", number) for number in range(7)}
    asked = generate(
        "tiny-a", "Say something.", system="Be brief.", max_tokens=12, provider=["0", 0], free_vram_first=True
    )
    return {"0": ours("LLMProvider", server="llm"), "1": asked, **shown}


def read() -> Graph:
    """A comparison, and everything that shows it."""
    drawn = {"width": 800, "text_size": 14, "most_lines": 3, "most_pages": 2, "dark": False}
    charted = {"specification": "", "width": 0, "height": 0, "scale": 1.0, "theme": "light"}
    return {
        **compared(),
        "5": ours("ResultsTable", results=["4", 0]),
        "6": ours("ResultsImage", results=["4", 0], **drawn),
        "8": ours("PickBest", results=["4", 0], by="fastest", prompts=""),
        "9": ours("Vote", results=["4", 0], voter="me"),
        "10": ours("Chart", chart="speed", results=["4", 0], **charted),
        "11": ours("TextDiff", left=["4", 1], right=["5", 1]),
        "12": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}},
        "13": {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}},
        **{f"{number + 20}": show(*place) for number, place in enumerate([("1", 1), ("2", 1), ("3", 1), ("4", 2)])},
        **{f"{number + 30}": show(*place) for number, place in enumerate([("8", 0), ("8", 1), ("8", 2), ("11", 1)])},
    }


def exported() -> Graph:
    written = {"markdown": True, "csv": True, "json": True, "html": True, "filename_prefix": "graphs/table"}
    return {
        **compared("tiny-a", "temperature=0.5"),
        "7": ours("ResultsExport", results=["4", 0], folder="temp", **written),
        **{f"{number + 40}": show("7", number) for number in range(4)},
    }


def judged() -> Graph:
    asked = {
        "judge": "judge-70b",
        "criteria": "Which is better?",
        "seed": unseen(),
        "most_pairs": 10,
        "max_tokens": 100,
    }
    return {
        **compared("llm/tiny-a\nllm/tiny-b", "temperature=0.5"),
        "5": ours("LLMProvider", server="scripted"),
        "6": ours("Judge", results=["4", 0], provider=["5", 0], show_images=False, unload="leave loaded", **asked),
        "7": ours("PickBest", results=["6", 0], by="ranking", prompts="prompt 1"),
        "8": show("6", 1),
        "9": show("6", 2),
    }


def painted_words() -> Graph:
    written = {"variants": 2, "seed": 5, "temperature": 0.8, "max_tokens": 200}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 16, "batch_size": 2, "color": 0xFF8000}},
        "2": ours("CaptionImages", images=["1", 0], model="scripted/eyes-7b", style="", seed=1, temperature=0.2,
                  max_tokens=64, prompt="What is this?", prefix="sks", suffix="end"),
        "3": show("2", 0),
        "4": show("2", 1),
        "5": ours("PromptExpander", idea="a red house", model="scripted/words-1b", style="", **written),
        "6": show("5", 0),
        "7": show("5", 1),
    }  # fmt: skip


def freed() -> Graph:
    return {
        "1": generate("llm/tiny-b"),
        "2": ours("FreeVRAM", value=["1", 0]),
        "3": ours("UnloadLLM", value=["2", 0], model=""),
        "4": show("3", 0),
        "5": show("3", 1),
    }


@pytest.fixture
async def nodes(comfy: ComfyUI) -> AsyncGenerator[dict[str, Any]]:
    """What the engine says of the pack's nodes."""
    yield {name: told for name, told in (await comfy.object_info()).items() if name.startswith("Workbench")}


async def test_every_node_of_the_pack_is_there_and_in_one_of_these_graphs(nodes: dict[str, Any]) -> None:
    graphs = (one_question(), read(), exported(), judged(), painted_words(), freed())
    used = {each["class_type"] for graph in graphs for each in graph.values()}
    assert len(nodes) == 18
    assert set(nodes) == {name for name in used if name.startswith("Workbench")}


async def test_one_question_and_all_that_is_told_of_its_answer(submit: Submitter) -> None:
    done = await submit(one_question())
    text, reasoning, usage, metrics, tokens, speed, ttft = [done.shown(f"{number + 10}")[0] for number in range(7)]
    assert done.shown("1") == [text] and text and reasoning == ""
    assert json.loads(usage)["completion"] == int(tokens) == 12
    told = json.loads(metrics)
    assert (told["model"], told["server"], told["finish"]) == ("tiny-a", "llm", "length")
    assert float(speed) > 0 and math.isclose(float(ttft), told["ttft"]) and told["ttft"] > 0


async def test_a_comparison_is_read_drawn_kept_picked_from_and_voted_on(submit: Submitter) -> None:
    done = await submit(read())
    (table,) = done.outputs["4"]["comparison"]
    assert table["models"] == done.shown("20") == ROUTED
    assert [row[:2] for row in table["rows"]] == [
        [prompt, variant] for prompt in ("prompt 1", "prompt 2") for variant in ("temperature=0.2", "temperature=0.9")
    ]
    assert [cell["state"] for cell in table["cells"]] == ["done"] * 12
    assert {"text", "ttft", "tokens_per_second", "tokens"} <= table["cells"][0].keys()
    assert done.outputs["5"]["comparison"] == [table]
    assert (done.shown("21"), done.shown("22")) == (PROMPTS.splitlines(), ["2"])
    assert done.shown("23") == [cell["text"] for cell in table["cells"]]
    chosen = zip(done.shown("30"), done.shown("31"), done.shown("32"), strict=True)
    assert [prompt for text, model, prompt in chosen if text in done.shown("23") and model in ROUTED] == [
        "prompt 1",
        "prompt 2",
    ]
    assert done.outputs["9"]["vote"][0]["ballots"] == 4
    assert done.outputs["11"]["diff"] and done.shown("33") == ["1.0"]
    pictures = {file.node: Image.open(io.BytesIO(file.data)) for file in done.files if file.kind == "image"}
    assert pictures["12"].width == 800 and pictures["13"].width > 200


async def test_a_comparison_becomes_files(submit: Submitter) -> None:
    done = await submit(exported())
    files = {file.filename: file.data.decode() for file in done.files}
    assert files.keys() == {"report.md", "report.csv", "report.json", "report.html"}
    assert [files[f"report.{kind}"] for kind in ("md", "json", "html")] == [
        done.shown(node)[0] for node in ("40", "42", "43")
    ]


async def test_a_judge_ranks_and_the_best_goes_on(ground: Ground, submit: Submitter) -> None:
    ground.scripted.on(CHAT, says('{"reason": "I saw no difference.", "winner": "tie"}'))
    done = await submit(judged())
    assert len(ground.scripted.bodies(CHAT)) == 4
    assert {body["model"] for body in ground.scripted.bodies(CHAT)} == {"judge-70b"}
    (table,) = done.outputs["6"]["comparison"]
    assert {rank["model"] for rank in table["ranking"]} == {"llm/tiny-a", "llm/tiny-b"} and done.shown("9")[0] in ROUTED
    assert done.shown("8") == done.shown("6") and "llm/tiny-a" in done.shown("8")[0]
    assert len(done.shown("7")) == 1


async def test_pictures_are_described_and_ideas_become_prompts(
    ground: Ground, submit: Submitter, nodes: dict[str, Any]
) -> None:
    graph = painted_words()
    for node in ("2", "5"):
        choices = nodes[graph[node]["class_type"]]["input"]["required"]["style"][0]
        graph[node]["inputs"]["style"] = choices[0]

    def said(received: Received) -> Answer:
        body = received.json
        wants = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("required", [])
        if wants:
            return says(json.dumps({field: f"{field} {body['seed']}" for field in wants}))
        return says(f"an orange wall, {body['seed']}")

    ground.scripted.on(CHAT, said)
    done = await submit(graph)
    assert done.shown("3") == ["sks an orange wall, 1 end"] * 2
    assert done.shown("4") == ["\n".join(done.shown("3"))]
    assert done.shown("6") == ["prompt 5", "prompt 6"] and len(done.shown("7")) == 2
    pictures = [body for body in ground.scripted.bodies(CHAT) if body["model"] == "eyes-7b"]
    assert len(pictures) == 2 and all("data:image/" in json.dumps(body) for body in pictures)


async def test_what_was_loaded_is_let_go_before_the_value_goes_on(ground: Ground, submit: Submitter) -> None:
    done = await submit(freed())
    assert done.shown("4") == done.shown("1") and "llm/tiny-b" in done.shown("5")[0]
    await until(lambda: not ground.llm.instances())
