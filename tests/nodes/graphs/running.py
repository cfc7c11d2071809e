"""Graphs of the nodes, submitted through our own client: what came out, and what a page is told meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import websockets

from comfy_mcp.comfyui import ComfyUI, HistoryEntry, execute
from comfy_mcp.jobs import BoundWorkflow, File, Graph, Run

__all__ = ["Listener", "Outcome", "Submitter", "compared", "generate", "listener", "ours", "show", "unseen"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``outputs`` is what each node shows, by its id."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]]
    files: tuple[File, ...]

    def shown(self, node: str) -> list[Any]:
        """What a node that shows text shows."""
        return self.outputs[node]["text"]


class Submitter:
    """Submits graphs to one engine and waits for their end."""

    def __init__(self, comfy: ComfyUI) -> None:
        self.comfy = comfy
        self._begun: dict[str, asyncio.Task[Outcome]] = {}

    async def __call__(self, graph: Graph, **more: Any) -> Outcome:
        """Raises as `execute` does."""
        run = Run(more.pop("prompt_id", None) or str(uuid.uuid4()), BoundWorkflow(graph, {}, **more), {}, 90.0)
        result = await execute(self.comfy, run, on_progress=lambda progress: None)
        entry = await self.comfy.history(run.prompt_id)
        assert entry is not None
        return Outcome(run.prompt_id, entry.outputs, result.files)

    def begin(self, graph: Graph) -> tuple[str, asyncio.Task[Outcome]]:
        """The prompt's id, and what waits for its end."""
        prompt_id = str(uuid.uuid4())
        task = self._begun[prompt_id] = asyncio.create_task(self(graph, prompt_id=prompt_id))
        return prompt_id, task

    async def end(self) -> None:
        """Leave nothing running that a test began: a test that failed may not have stopped it."""
        for prompt_id, task in self._begun.items():
            if not task.done():
                await self.comfy.cancel(prompt_id)
                task.cancel()
        await asyncio.gather(*self._begun.values(), return_exceptions=True)


@dataclass(slots=True)
class Listener:
    """A page of its own. ``texts`` are (seconds, node, text), ``events`` (seconds, kind, data)."""

    client: str
    texts: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list[tuple[float, str, dict[str, Any]]])

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [data for _, each, data in self.events if each == kind]

    async def run(self, comfy: ComfyUI, graph: Graph) -> HistoryEntry:
        """Submit as this page would, and wait for the end."""
        prompt_id = str(uuid.uuid4())
        await comfy.submit(BoundWorkflow(graph, {}), graph, prompt_id, self.client)
        async with asyncio.timeout(90):
            while {"node": None, "prompt_id": prompt_id} not in self.told("executing"):
                await asyncio.sleep(0.01)
        entry = await comfy.history(prompt_id)
        assert entry is not None
        return entry

    def _take(self, message: str | bytes) -> None:
        now = time.monotonic()
        if not isinstance(message, str):
            return
        told = json.loads(message)
        if told["type"] == "comfyui-workbench.text":
            self.texts.append((now, told["data"]["node"], told["data"]["text"]))
        else:
            self.events.append((now, told["type"], told["data"]))

    async def read(self, socket: websockets.ClientConnection) -> None:
        async for message in socket:
            self._take(message)


@asynccontextmanager
async def listener(comfy: ComfyUI) -> AsyncGenerator[Listener]:
    """A page that is open as long as the block lasts, and knows that it is."""
    page = Listener(uuid.uuid4().hex)
    address = comfy.url.replace("http", "ws", 1) + f"/ws?clientId={page.client}"
    async with websockets.connect(address, max_size=None, proxy=None) as socket:
        reading = asyncio.create_task(page.read(socket))
        async with asyncio.timeout(10):
            while not page.told("status"):
                await asyncio.sleep(0.01)
        try:
            yield page
        finally:
            reading.cancel()
            await asyncio.wait([reading])


def ours(cls: str, **inputs: Any) -> dict[str, Any]:
    """A node of the pack in a graph."""
    return {"class_type": f"Workbench{cls}", "inputs": inputs}


def show(node: str, output: int) -> dict[str, Any]:
    """A node that shows an output as text, each item of a list for itself."""
    return {"class_type": "TestShow", "inputs": {"anything": [node, output]}}


def generate(model: str, prompt: Any = "Hello.", **changed: Any) -> dict[str, Any]:
    """LLM Generate with short answers."""
    inputs: dict[str, Any] = {"system": "", "seed": 1, "temperature": 0.7, "max_tokens": 8, **changed}
    return ours("LLMGenerate", model=model, prompt=prompt, **inputs)


def unseen() -> int:
    """A seed that nobody has asked with before, so that no earlier answer is there."""
    return uuid.uuid4().int % 2**30


def compared(models: str, prompts: str, grid: str = "max_tokens=8", **changed: Any) -> Graph:
    """Nodes 1 to 4: lists of models, prompts and parameters, and LLM Compare."""
    inputs: dict[str, Any] = {"repeats": 1, "seed": unseen(), "max_tokens": 8, "checks": "", "unload": "leave loaded"}
    inputs |= {"use_earlier_answers": True, "free_vram_first": False, **changed}
    return {
        "1": ours("ModelList", models=models),
        "2": ours("PromptList", prompts=prompts, written_as="lines or blocks"),
        "3": ours("ParameterGrid", grid=grid),
        "4": ours("LLMCompare", models=["1", 0], prompts=["2", 0], parameters=["3", 0], **inputs),
    }
