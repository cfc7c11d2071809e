"""Servers in the test's own process that load, unload and answer like llama.cpp's router, and keep book of it.

What a request does is told by its own words: "wait" waits for the gate before its first token and "late" after it,
"reset" breaks the connection before and "lost" after the first token, "busy" is refused with 503.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from llm_bridge.chat import ChatRequest
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message
from tests.bridge.servers import Answer, End, Received, Script, Step, chunk, json_answer, sse, stream

__all__ = ["Box", "boxes", "said", "until"]


class Box(Script):
    """``gate`` holds requests that say so, the others every load and unload. All are open at first."""

    def __init__(self, name: str, models: tuple[str, ...], **options: Any) -> None:
        super().__init__()
        self.name, self.models, self._options = name, models, options
        self.gate, self.load_gate, self.unload_gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for gate in (self.gate, self.load_gate, self.unload_gate):
            gate.set()
        self.loaded: list[str] = []
        self.loads: list[str] = []
        self.running: Counter[str] = Counter()
        self.seen_running: list[Counter[str]] = []
        self.refuses_to_load = False
        self._answers: dict[int, str] = {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.on("GET /props", lambda received: json_answer(self._props(received)))
        self.on("GET /v1/models", lambda _: json_answer({"data": [self._entry(model) for model in self.models]}))
        self.on("POST /models/load", self._load)
        self.on("POST /models/unload", self._unload)
        self.on("POST /v1/chat/completions", self._chat)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.name, self.url, "llama-cpp", **self._options)

    async def start(self) -> None:
        """Listen, on the same address as before, with nothing loaded."""
        self.loaded = []
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def kill(self) -> None:
        """As a crash: all connections break."""
        if self._server is not None:
            server, self._server = self._server, None
            # asyncio drops a connection that it is just accepting when the server closes, without closing it.
            asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
            await asyncio.sleep(0)
            server.close()
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            # It came just before the crash.
            writer.transport.abort()
            return
        task = asyncio.create_task(self.serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def _props(self, received: Received) -> dict[str, Any]:
        role = "model" if "model=" in received.path else "router"
        return {"role": role, "build_info": "b1-box", "default_generation_settings": {}}

    def _entry(self, model: str) -> dict[str, Any]:
        return {"id": model, "status": {"value": "loaded" if model in self.loaded else "unloaded"}}

    def _load(self, received: Received) -> Answer:
        if self.refuses_to_load:
            return json_answer({"error": {"message": "failed to load model"}}, 500)
        answer = Answer((b'{"success":true}',), 200, {}, early=(self.load_gate,))
        return self._begun(answer, f"load {received.json['model']}")

    def _unload(self, received: Received) -> Answer:
        if (model := received.json["model"]) in self.loaded:
            self.loaded.remove(model)
        return Answer((b'{"success":true}',), 200, {}, early=(self.unload_gate,))

    def _chat(self, received: Received) -> Answer:
        model, words = received.json["model"], received.json["messages"][-1]["content"].split()
        if "busy" in words:
            return json_answer({"error": {"message": "no slot"}}, 503, Retry_After="0.05")
        if model not in self.models:
            return json_answer({"error": {"message": f"model '{model}' not found"}}, 400)
        if model not in self.loaded:
            self._add(model)
        before: list[Step] = [self.gate] if "wait" in words else [End.RESET] if "reset" in words else []
        after: list[Step] = [self.gate] if "late" in words else [End.RESET] if "lost" in words else []
        text = '{"ok": true}' if words[-1] == "schema." else "no JSON" if "schema" in words else "Hi"
        end = sse(chunk(finish="stop"))
        self.running[model] += 1
        self.seen_running.append(+self.running)
        return self._begun(stream(*before, sse(chunk(text), done=False), *after, end), f"chat {model}")

    def _add(self, model: str) -> None:
        self.loads.append(model)
        if (most := self._options.get("max_loaded", 1)) is not None:
            del self.loaded[: max(0, len(self.loaded) + 1 - most)]
        self.loaded.append(model)

    def _begun(self, answer: Answer, what: str) -> Answer:
        self._answers[id(answer)] = what
        return answer

    async def _answered(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        what, _, model = self._answers.pop(id(answer), "").partition(" ")
        whole = False
        try:
            whole = await super()._answered(answer, reader, writer)
            return whole
        finally:
            if what == "chat":
                self.running[model] -= 1
            elif what == "load" and whole:
                self._add(model)


@asynccontextmanager
async def boxes(*made: Box) -> AsyncGenerator[None]:
    """They listen as long as the block lasts."""
    async with AsyncExitStack() as stack:
        for box in made:
            await box.start()
            stack.push_async_callback(box.kill)
        yield


def said(model: str, words: str = "Hello.", **options: Any) -> ChatRequest:
    return ChatRequest(model, (Message.user(words),), **options)


async def until(seen: Any, seconds: float = 5.0) -> None:
    """Wait for what another task or the server does; fails with what was waited for."""
    async with asyncio.timeout(seconds):
        while not seen():
            await asyncio.sleep(0.002)
