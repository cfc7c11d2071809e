"""Nodes beside each other: one question at a time at each server, and tokens that are read while a sampler works."""

from __future__ import annotations

import asyncio
from typing import Any

from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.jobs import Graph
from tests.bridge.boxes import until
from tests.bridge.servers import chunk, sse, stream
from tests.contract.test_client import checkpoint
from tests.contract.test_protocol import painting
from tests.nodes.graphs.engines import Ground
from tests.nodes.graphs.running import Listener, Submitter, compared, generate, listener, ours, show, unseen
from tests.nodes.test_compare_real import asked, loads, most_at_once
from tests.texts import CHAT

ROUTED = "llm/tiny-a\nllm/tiny-b\nllm/tiny-think"
WORDS = tuple(f"word-{number} " for number in range(300))


async def test_twenty_items_of_a_list_are_twenty_calls_one_after_the_other(ground: Ground, submit: Submitter) -> None:
    began, before = len(ground.llm.log.read_bytes()), loads(ground.llm)
    prompts = "\n".join(f"item {number}" for number in range(20))
    done = await submit(
        {
            "1": ours("PromptList", prompts=prompts, written_as="lines or blocks"),
            "2": generate("llm/tiny-a", ["1", 1], seed=7),
        }
    )
    assert len(done.shown("2")) == 20
    log = ground.llm.log.read_bytes()[began:].decode(errors="replace")
    assert log.count("launch_slot_:") == 20 and most_at_once(log) == 1
    assert loads(ground.llm) - before == 1


async def _painted_beside(page: Listener, comfy: ComfyUI, graph: Graph, gate: asyncio.Event) -> list[str]:
    """What node 20 shows; the gate opens at the second step of the sampler."""
    running = asyncio.create_task(page.run(comfy, graph))
    try:
        await until(lambda: any(told["value"] >= 2 and told["node"] == "3" for told in page.told("progress")), 60)
        gate.set()
        return (await running).outputs["20"]["text"]
    finally:
        running.cancel()


async def test_a_sampler_that_works_beside_costs_no_word_and_neither_waits(ground: Ground, comfy: ComfyUI) -> None:
    gate = asyncio.Event()
    spoken = [sse(chunk(word), done=False) for word in WORDS]
    ground.scripted.on(CHAT, stream(sse(chunk("first "), done=False), gate, *spoken, sse(chunk(finish="stop"))))
    graph = painting(await checkpoint(comfy), steps=10)
    graph["5"]["inputs"] |= {"width": 256, "height": 256}
    graph["20"] = generate("scripted/words-1b", "Talk.", max_tokens=0)
    async with listener(comfy) as page:
        assert await _painted_beside(page, comfy, graph, gate) == [whole := "first " + "".join(WORDS)]
    steps = [(at, told["value"]) for at, kind, told in page.events if kind == "progress" and told["node"] == "3"]
    growing = {text: at for at, node, text in page.texts if node == "20" and text.startswith("first")}
    assert [value for _, value in steps] == list(range(1, 11))
    # The sampler went on while the model was silent, and the whole text was there while the sampler still worked.
    assert growing["first "] < steps[1][0]
    assert steps[1][0] < growing[whole] < steps[-1][0]


async def test_two_comparisons_of_one_graph_are_three_loads_each_at_most(ground: Ground, submit: Submitter) -> None:
    began, before = len(ground.llm.log.read_bytes()), (loads(ground.llm), asked(ground.llm))
    first, second = compared(ROUTED, "the sea\nthe sky"), compared(ROUTED, "a cat\na dog")
    beside = {f"{node}0": _moved(told) for node, told in second.items()}
    done = await submit({**first, **beside})
    for node in ("4", "40"):
        assert [cell["state"] for cell in done.outputs[node]["comparison"][0]["cells"]] == ["done"] * 6
    await until(lambda: asked(ground.llm) - before[1] == 12)
    assert loads(ground.llm) - before[0] <= 6
    assert most_at_once(ground.llm.log.read_bytes()[began:].decode(errors="replace")) == 1


def _moved(node: dict[str, Any]) -> dict[str, Any]:
    """The node with a zero behind the number of every other."""
    given: dict[str, Any] = node["inputs"]
    return {
        **node,
        "inputs": {name: [f"{told[0]}0", told[1]] if isinstance(told, list) else told for name, told in given.items()},
    }


async def test_two_graphs_in_the_queue_run_one_after_the_other(ground: Ground, submit: Submitter) -> None:
    began, before = len(ground.llm.log.read_bytes()), loads(ground.llm)
    one, two = await asyncio.gather(
        submit(compared(ROUTED, "the sea\nthe sky")), submit(compared(ROUTED, "a cat\na dog"))
    )
    for done in (one, two):
        assert [cell["state"] for cell in done.outputs["4"]["comparison"][0]["cells"]] == ["done"] * 6
    assert loads(ground.llm) - before <= 6
    assert most_at_once(ground.llm.log.read_bytes()[began:].decode(errors="replace")) == 1


async def test_a_loop_of_graphs_over_lists_gives_each_item_to_the_next_node(ground: Ground, submit: Submitter) -> None:
    """Lists are what ComfyUI 0.3.64 has for loops: each answer is the prompt of the next question."""
    done = await submit(
        {
            "1": ours("PromptList", prompts="a\nb\nc", written_as="lines or blocks"),
            "2": generate("scripted/words-1b", ["1", 1], seed=unseen()),
            "3": generate("scripted/words-1b", ["2", 0]),
            "4": show("3", 0),
        }
    )
    assert done.shown("4") == [f"words-1b on words-1b on {item}" for item in "abc"]
    assert len(ground.scripted.bodies(CHAT)) == 6
