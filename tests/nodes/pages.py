"""The pack in ComfyUI's own page: graphs of its nodes, a view of one of them, and answers that can be counted on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator

from comfy_mcp.node_pack import lay_out
from tests.bridge.servers import Answer, Received, chunk, json_answer, sse, stream
from tests.engines import running_engine
from tests.frontend import ComfyPage, Graph, needs_page

__all__ = ["HOSTILE", "answers", "comparing", "failing", "look", "row_names", "running_pack", "slowly"]

HOSTILE = "<img src=x onerror='window.hurt = true'><b>bold</b>"

LOOK = """async (id) => {
  const node = app.graph.getNodeById(id), { ds } = app.canvas;
  ds.scale = 1;
  ds.offset = [90 - node.pos[0], 110 - node.pos[1]];
  app.canvas.setDirty(true, true);
  for (let frame = 0; frame < 4; frame += 1) await new Promise(requestAnimationFrame);
}"""


@contextmanager
def running_pack(place: Path, *servers: str) -> Generator[str]:
    """The address of an engine with the pack, which is laid out in ``place`` and knows these LLM servers."""
    needs_page()
    folder = place / "comfyui-workbench"
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_LLM_URL", ",".join(servers))
        with running_engine("--pack", str(folder)) as engine:
            yield engine.url


def comparing(models: Sequence[str], prompts: Sequence[str], **after: Mapping[str, Any]) -> Graph:
    """LLM Compare as node 3; ``after`` are nodes from 4 on that take its results, by their class."""
    asked = {"models": ["1", 0], "prompts": ["2", 0], "use_earlier_answers": False}
    graph: Graph = {
        "1": {"class_type": "WorkbenchModelList", "inputs": {"models": "\n".join(models)}},
        "2": {"class_type": "WorkbenchPromptList", "inputs": {"prompts": "\n".join(prompts)}},
        "3": {"class_type": "WorkbenchLLMCompare", "inputs": asked},
    }
    for number, (name, inputs) in enumerate(after.items(), start=4):
        graph[str(number)] = {"class_type": f"Workbench{name}", "inputs": {"results": ["3", 0], **inputs}}
    return graph


async def look(comfy: ComfyPage, node: int) -> None:
    """Brings a node to the middle of the view, at its own size: what is in it is only there while it can be seen."""
    await comfy.page.evaluate(LOOK, node)


def answers(told: Mapping[tuple[str, str], Answer | str]) -> Any:
    """What the server says, by the model and the prompt; a text has as many tokens as words."""

    def rule(received: Received) -> Answer:
        body = received.json
        said = told[body["model"], body["messages"][-1]["content"]]
        return said if isinstance(said, Answer) else _says(said)

    return rule


def slowly(text: str, until: asyncio.Event, more: str) -> Answer:
    """The rest comes when it may."""
    return stream(sse(chunk(text), done=False), until, sse(chunk(more, "stop")))


def failing(message: str) -> Answer:
    return json_answer({"error": {"message": message, "type": "invalid_request_error"}}, 400)


def _says(text: str) -> Answer:
    usage: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(text.split())}}
    return stream(sse(chunk(text, "stop"), usage))


async def row_names(table: Locator) -> list[str]:
    """The prompts in the order in which the rows stand."""
    return await table.locator("tbody th > span:first-child").all_inner_texts()
