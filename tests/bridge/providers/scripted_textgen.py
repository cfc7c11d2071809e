"""A scripted text-generation-webui: a load that fails is answered with OK, and leaves no tokenizer."""

from __future__ import annotations

from tests.bridge.providers.scripted import CHAT, recorded, refused, told
from tests.bridge.servers import Answer, Received, Script, json_answer

__all__ = ["TextGenServer"]


class TextGenServer:
    """``broken`` models cannot be loaded; with ``admin`` False it keeps its list to itself."""

    def __init__(self, *, admin: bool = True) -> None:
        self.names: list[str] = recorded("textgen", "list")["model_names"]
        self.name = self.names[0]
        self.broken: set[str] = set()
        self.admin = admin

    def __call__(self, script: Script) -> None:
        script.on("GET /v1/internal/health", json_answer(recorded("textgen", "health")))
        script.on("GET /v1/internal/model/list", self._list)
        script.on("GET /v1/internal/model/info", self._info)
        script.on("POST /v1/internal/model/load", self._load)
        script.on("POST /v1/internal/model/unload", self._unload)
        script.on("POST /v1/internal/chat-prompt", json_answer(recorded("textgen", "prompt")))
        script.on("POST /v1/internal/token-count", self._count)
        script.on("GET /v1/models", json_answer(recorded("textgen", "models")))
        script.on(
            "GET /openapi.json", json_answer({"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}})
        )
        script.on(CHAT, told("textgen", "reasoning"))

    def _list(self, received: Received) -> Answer:
        if not self.admin:
            return refused("textgen", "unauthorized", 401)
        return json_answer({"model_names": self.names})

    def _info(self, received: Received) -> Answer:
        return json_answer({"model_name": self.name, "lora_names": [], "loader": "llama.cpp"})

    def _load(self, received: Received) -> Answer:
        self.name = received.json["model_name"]
        if self.name not in self.names:
            return refused("textgen", "load_failed", 500)
        return json_answer("OK")

    def _unload(self, received: Received) -> Answer:
        self.name = "None"
        return json_answer("OK")

    def _count(self, received: Received) -> Answer:
        if self.name == "None" or self.name in self.broken:
            return Answer((b"Internal Server Error",), 500, {"Content-Type": "text/plain; charset=utf-8"})
        return json_answer(recorded("textgen", "counted"))
