"""Scripted servers that answer what real ones do; `SERVERS` are what every dialect is tried against."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message
from llm_bridge.transport import Timeouts
from tests.bridge.servers import Answer, Received, Script, json_answer, scripted, stream

__all__ = [
    "CHAT",
    "SERVERS",
    "Router",
    "asked",
    "chat",
    "client_of",
    "recorded",
    "refused",
    "served",
    "told",
    "workbench",
]

CHAT = "POST /v1/chat/completions"
_RECORDED = Path(__file__).parent.parent / "recorded"


def recorded(kind: str, name: str) -> Any:
    """The JSON that a server of this kind answers."""
    return json.loads((_RECORDED / kind / f"{name}.json").read_text("utf-8"))


def told(kind: str, name: str) -> Answer:
    """A recorded stream."""
    return stream((_RECORDED / kind / f"{name}.sse").read_bytes())


def refused(kind: str, name: str, status: int) -> Answer:
    return json_answer(recorded(kind, name), status)


def chat(model: str, **fields: Any) -> ChatRequest:
    return ChatRequest(model, (Message.user("hi"),), **fields)


@asynccontextmanager
async def client_of(script: Script, kind: str | None = None, **timeouts: float) -> AsyncGenerator[Client]:
    """One that does not try again, and finds out the kind unless it is told."""
    endpoint = Endpoint("box", script.url, kind=kind)
    async with Client.open(endpoint, timeouts=Timeouts(**timeouts), retry=Retry(attempts=1)) as client:
        yield client


@asynccontextmanager
async def served(server: Callable[[Script], None]) -> AsyncGenerator[tuple[Script, Client]]:
    """A scripted server and a client that has found out by itself what it is."""
    async with scripted() as script:
        server(script)
        async with client_of(script) as client:
            yield script, client


async def asked(client: Client, wanted: ChatRequest) -> tuple[Reply, list[Event]]:
    events: list[Event] = []
    return await client.ask(wanted, events.append), events


class Router:
    """llama.cpp's router. Models change their state only after they were looked at ``slowness`` times."""

    def __init__(self, slowness: int = 2) -> None:
        self.entries: list[dict[str, Any]] = recorded("llama-cpp", "router_models")["data"]
        self.slowness = slowness
        self.broken: set[str] = set()
        self._coming: dict[str, tuple[int, str]] = {}

    def __call__(self, script: Script) -> None:
        script.on("GET /props", self._props)
        script.on("GET /v1/models", self._list)
        script.on("GET /models", self._list)
        script.on("POST /models/load", self._load)
        script.on("POST /models/unload", self._unload)
        script.on(CHAT, told("llama-cpp", "reasoning"))

    def status(self, model: str) -> dict[str, Any]:
        return next(entry["status"] for entry in self.entries if entry["id"] == model)

    def _props(self, received: Received) -> Answer:
        model = parse_qs(urlsplit(received.path).query).get("model")
        if model is None:
            return json_answer(recorded("llama-cpp", "router_props"))
        if self.status(model[0])["value"] != "loaded":
            return refused("llama-cpp", "not_loaded", 400)
        return json_answer(recorded("llama-cpp", "model_props"))

    def _list(self, received: Received) -> Answer:
        for model, (looks, state) in list(self._coming.items()):
            self._coming[model] = looks - 1, state
            if looks <= 0:
                del self._coming[model]
                self._settle(model, state)
        return json_answer({"data": self.entries, "object": "list"})

    def _settle(self, model: str, state: str) -> None:
        status = self.status(model)
        failed = state == "loaded" and model in self.broken
        status |= {"value": "unloaded", "failed": True, "exit_code": 1} if failed else {"value": state}

    def _load(self, received: Received) -> Answer:
        model = received.json["model"]
        if all(entry["id"] != model for entry in self.entries):
            return refused("llama-cpp", "no_such_page", 404)
        status = self.status(model)
        if status["value"] not in ("unloaded", "downloaded"):
            return refused("llama-cpp", "already_running", 400)
        status.pop("failed", None)
        status["value"] = "loading"
        self._coming[model] = self.slowness, "loaded"
        return json_answer({"success": True})

    def _unload(self, received: Received) -> Answer:
        model = received.json["model"]
        if self.status(model)["value"] == "unloaded":
            return refused("llama-cpp", "not_running", 400)
        self._coming[model] = self.slowness, "unloaded"
        return json_answer({"success": True})


def llama_router(script: Script) -> None:
    Router()(script)


def llama_single(script: Script) -> None:
    script.on("GET /props", json_answer(recorded("llama-cpp", "single_props")))
    script.on("GET /v1/models", json_answer(recorded("llama-cpp", "single_models")))
    script.on(CHAT, told("llama-cpp", "text"))


def llama_swap(script: Script) -> None:
    """It serves /props of no server behind it, but hands chats on."""
    script.on("GET /running", json_answer(recorded("llama-swap", "running")))
    script.on("GET /v1/models", json_answer(recorded("llama-swap", "models")))
    script.on("GET /models", json_answer(recorded("llama-swap", "models")))
    script.on("GET /api/version", json_answer({"version": "170", "commit": "abcdef", "build_date": "2026-08-22"}))
    script.on(CHAT, told("llama-swap", "text"))


def vllm(script: Script) -> None:
    script.on("GET /version", json_answer(recorded("vllm", "version")))
    script.on("GET /openapi.json", json_answer({"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}}))
    script.on("GET /v1/models", json_answer(recorded("vllm", "models")))
    script.on("POST /tokenize", json_answer(recorded("vllm", "tokenize")))
    script.on(CHAT, told("vllm", "reasoning"))


def jan(script: Script) -> None:
    script.on("GET /openapi.json", json_answer(recorded("jan", "openapi")))
    script.on("GET /v1/models", json_answer(recorded("jan", "models")))
    script.on("GET /v1/models/available", json_answer(recorded("jan", "available")))
    script.on(CHAT, told("llama-cpp", "reasoning"))


def jan_older(script: Script) -> None:
    script.on("GET /openapi.json", json_answer(recorded("jan", "openapi_older")))
    script.on("GET /v1/models", json_answer(recorded("jan", "models")))
    script.on(CHAT, told("llama-cpp", "text"))


def openai(script: Script) -> None:
    script.on("GET /v1/models", json_answer(recorded("openai", "models")))
    script.on(CHAT, told("openai", "text"))


def workbench(script: Script) -> None:
    script.on("GET /v1/models", json_answer(recorded("workbench", "models")))
    script.on(CHAT, told("openai", "text"))


SERVERS: dict[str, Callable[[Script], None]] = {
    "llama-cpp": llama_router,
    "llama-cpp single": llama_single,
    "llama-swap": llama_swap,
    "vllm": vllm,
    "jan": jan,
    "jan older": jan_older,
    "workbench": workbench,
    "openai": openai,
}
"""By kind; what stands after a space tells servers of one kind apart."""
