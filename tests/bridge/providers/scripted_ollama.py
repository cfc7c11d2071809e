"""A scripted Ollama: it keeps what is loaded, until it has been looked at once after it was told to let go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bridge.providers.scripted import recorded, refused
from tests.bridge.servers import Answer, Received, Script, json_answer, stream

__all__ = ["CHAT", "OllamaServer", "line_stream", "lines"]

CHAT = "POST /api/chat"
_RECORDED = Path(__file__).parent.parent / "recorded" / "ollama"


def lines(name: str) -> bytes:
    """A recorded answer."""
    return (_RECORDED / f"{name}.ndjson").read_bytes()


def line_stream(*steps: Any) -> Answer:
    return stream(*steps, kind="application/x-ndjson")


class OllamaServer:
    """``tags`` names its list; ``answer`` is what it says to any chat. Names are as its `/api/ps` has them."""

    def __init__(self, tags: str = "tags", answer: str = "thinking") -> None:
        self.tags: list[dict[str, Any]] = recorded("ollama", tags)["models"]
        self.answer = line_stream(lines(answer))
        self.loaded: dict[str, dict[str, Any]] = {}
        self._leaving: set[str] = set()

    def __call__(self, script: Script) -> None:
        script.on("GET /", Answer((b"Ollama is running",), 200, {"Content-Type": "text/plain; charset=utf-8"}))
        script.on("GET /api/version", json_answer({"version": "0.12.6"}))
        script.on("GET /v1/models", json_answer({"object": "list", "data": [{"id": "llama3.2:latest"}]}))
        script.on("GET /api/tags", lambda received: json_answer({"models": self.tags}))
        script.on("GET /api/ps", self._ps)
        script.on("POST /api/show", json_answer(recorded("ollama", "show")))
        script.on(CHAT, self._chat)

    def _ps(self, received: Received) -> Answer:
        answer = json_answer({"models": list(self.loaded.values())})
        for name in self._leaving:
            self.loaded.pop(name, None)
        self._leaving.clear()
        return answer

    def _chat(self, received: Received) -> Answer:
        asked = received.json
        name = asked["model"] if ":" in asked["model"] else f"{asked['model']}:latest"
        if all(entry["name"] != name for entry in self.tags):
            return refused("ollama", "unknown_model", 404)
        if asked["messages"]:
            return self.answer
        if asked.get("keep_alive") == 0:
            self._leaving.add(name)
            return json_answer(recorded("ollama", "unloaded"))
        entry = recorded("ollama", "ps")["models"][0] | {"name": name, "model": name}
        self.loaded[name] = entry | {"context_length": asked.get("options", {}).get("num_ctx", 4096)}
        return json_answer(recorded("ollama", "loaded"))
