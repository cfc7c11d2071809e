"""One queue for graphs and chats: a graph that holds the card asks a model on the same card, and waits for nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.proxy import listening
from comfy_mcp.settings import Settings
from comfy_mcp.texts import bound_chat
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest
from llm_bridge.messages import Message
from tests.bridge.boxes import until
from tests.bridge.servers import Answer, Received, Script, Step, chunk, sse, stream
from tests.llama.servers import LlamaServer
from tests.nodes.graphs.engines import free_ports
from tests.nodes.shipping import running_pack
from tests.texts import CHAT, says, text_server

SMALL = {"width": 64, "height": 64, "steps": 2, "seed": 7}
PAINTED = {"prompt": "a lighthouse", "models": "alpha", "judge": "alpha", **SMALL}


@pytest.fixture
def port() -> int:
    """Where the workbench listens: the engine knows it before it starts."""
    return free_ports()


@pytest.fixture
def pack_url(port: int, tmp_path: Path) -> Generator[str]:
    """An engine whose nodes ask the workbench."""
    with running_pack(tmp_path / "custom_nodes", f"http://127.0.0.1:{port}") as url:
        yield url


@asynccontextmanager
async def one_card(data: Path, port: int, comfyui: str, llm: str, kind: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A workbench with both on one card, where one thing runs at a time."""
    told: dict[str, Any] = {
        # What the nodes are told in the same environment is not for the workbench.
        "llm_url": "",
        "backends": [{"name": "comfyui", "url": comfyui, "card": "gpu0"}],
        "llm_servers": [{"name": "llm", "url": llm, "kind": kind, "card": "gpu0", "concurrency": 1}],
    }
    async with (
        Workbench.open(Settings(data=data, port=port, **told)) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client,
    ):
        yield client


@dataclass(slots=True)
class Card:
    """What happens on the card: the graph's own chat waits for ``go``."""

    http: httpx.AsyncClient
    script: Script
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def chat(self, received: Received) -> Answer:
        text = str(received.json["messages"][-1]["content"])
        self.asked.append((time.time(), text))
        waits: tuple[Step, ...] = (sse(chunk("Once "), done=False), self.go) if "lighthouse" in text else ()
        return stream(*waits, sse(chunk("a house of light."), chunk(None, "stop")))

    async def submit(self, template: str, **values: Any) -> str:
        answer = await self.http.post("/api/v1/jobs", json={"template": template, "values": values})
        return answer.raise_for_status().json()["id"]

    async def job(self, id: str) -> dict[str, Any]:
        return (await self.http.get(f"/api/v1/jobs/{id}")).raise_for_status().json()

    async def ended(self, id: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while (job := await self.job(id))["state"] in ("queued", "running"):
                await asyncio.sleep(0.02)
        return job

    async def painting(self) -> str:
        """A graph that has asked the model and holds the card."""
        id = await self.submit("expand_and_paint", **PAINTED, text_seed=-1)
        await until(lambda: self.asked, 20)
        return id

    async def completed(self, text: str) -> list[str]:
        """The lines of a chat of somebody else."""
        body = {"model": "alpha", "stream": True, "messages": [{"role": "user", "content": text}]}
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            return [line async for line in answer.aiter_lines() if line]


@pytest.fixture
async def card(tmp_path: Path, port: int, pack_url: str) -> AsyncGenerator[Card]:
    async with (
        text_server(("alpha",)) as script,
        one_card(tmp_path / "data", port, pack_url, script.url, "openai") as http,
    ):
        card = Card(http, script)
        script.on(CHAT, card.chat)
        yield card


def test_which_prompt_asks_is_no_part_of_a_stored_chat() -> None:
    asked = ChatRequest("alpha", (Message.user("Hi"),))
    stored = bound_chat(replace(asked, within="5f0c1c6e"), ())
    assert stored == bound_chat(asked, ()) and "within" not in str(stored)


def when(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()


async def test_a_graph_is_answered_within_its_own_hold_of_the_card(card: Card) -> None:
    painting = await card.painting()
    card.go.set()
    done = await card.ended(painting)
    assert done["state"] == "succeeded", done["error"]
    assert [asset["mime"] for asset in done["assets"]] == ["image/png"]
    assert any("Once a house of light." in str(output["value"]) for output in done["outputs"])
    assert when(done["started"]) < card.asked[0][0] < when(done["finished"])


async def test_nothing_else_starts_on_the_card_before_the_graph_ends(card: Card) -> None:
    painting = await card.painting()
    async with asyncio.TaskGroup() as tasks:
        chat = tasks.create_task(card.completed("And the sea?"))
        picture = await card.submit("txt2img", prompt="a fox", **SMALL)
        stored = await card.submit("chat", model="alpha", prompt="And the sky?")
        # Long enough for whatever would have started at once.
        await asyncio.sleep(1.5)
        states = [(await card.job(id))["state"] for id in (painting, picture, stored)]
        assert states == ["running", "queued", "queued"] and len(card.asked) == 1
        card.go.set()
    done = await card.ended(painting)
    assert done["state"] == "succeeded", done["error"]
    others = [await card.ended(id) for id in (picture, stored)]
    assert [other["state"] for other in others] == ["succeeded", "succeeded"]
    starts = [when(other["started"]) for other in others] + [at for at, text in card.asked if "lighthouse" not in text]
    assert len(starts) == 4 and min(starts) >= when(done["finished"])
    lines = chat.result()
    assert lines[0].startswith(": waiting") and lines[-1] == "data: [DONE]"


async def test_who_cancels_the_job_stops_the_models_answer(card: Card) -> None:
    painting = await card.painting()
    (await card.http.delete(f"/api/v1/jobs/{painting}")).raise_for_status()
    async with asyncio.timeout(10):
        await card.script.aborted.wait()
    assert (await card.ended(painting))["state"] == "cancelled"
    card.go.set()
    card.script.on(CHAT, says("Next."))
    assert "data: [DONE]" in await card.completed("And now?")


async def test_a_real_model_writes_what_is_painted_on_its_own_card(
    tmp_path: Path, port: int, pack_url: str, llama_router: LlamaServer
) -> None:
    async with one_card(tmp_path / "data", port, pack_url, llama_router.url, "llama-cpp") as http:
        card = Card(http, Script())
        values = {"prompt": "a lighthouse", "models": "llm/tiny-a", "judge": "llm/tiny-b", "text_seed": -1, **SMALL}
        jobs = [await card.submit("expand_and_paint", **values), await card.submit("txt2img", prompt="a fox", **SMALL)]
        done = [await card.ended(id) for id in jobs]
    assert [job["state"] for job in done] == ["succeeded", "succeeded"], [job["error"] for job in done]
