"""A scripted LM Studio: it lists, loads instances and unloads them by their id. Unknown paths are answered with 200."""

from __future__ import annotations

from typing import Any

from tests.bridge.providers.scripted import CHAT, recorded, refused, told
from tests.bridge.servers import Answer, Received, Script, json_answer

__all__ = ["LMStudioServer", "lm_studio_older"]

_ELSEWHERE = (
    "/",
    "/props",
    "/running",
    "/version",
    "/openapi.json",
    "/api/version",
    "/api/tags",
    "/api/extra/version",
    "/v1/internal/health",
)


def _unexpected(script: Script, *paths: str) -> None:
    for path in (*_ELSEWHERE, *paths):
        script.on(f"GET {path}", json_answer(recorded("lm-studio", "unexpected")))


class LMStudioServer:
    """0.4 and later. ``broken`` models cannot be loaded."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = recorded("lm-studio", "models")["models"]
        self.broken: set[str] = set()

    def __call__(self, script: Script) -> None:
        _unexpected(script)
        script.on("GET /api/v1/models", lambda received: json_answer({"models": self.models}))
        script.on("GET /api/v0/models", json_answer(recorded("lm-studio", "old_models")))
        script.on(
            "GET /v1/models", json_answer({"object": "list", "data": [{"id": "llama-3.1-8b", "object": "model"}]})
        )
        script.on("POST /api/v1/models/load", self._load)
        script.on("POST /api/v1/models/unload", self._unload)
        script.on(CHAT, told("lm-studio", "reasoning"))

    def instances(self, key: str) -> list[dict[str, Any]]:
        return next(entry["loaded_instances"] for entry in self.models if entry["key"] == key)

    def _load(self, received: Received) -> Answer:
        key = received.json["model"]
        if all(entry["key"] != key for entry in self.models):
            return refused("lm-studio", "unknown_model", 404)
        if key in self.broken:
            return refused("lm-studio", "load_failed", 500)
        there = self.instances(key)
        name = key if not there else f"{key}:{len(there) + 1}"
        there.append({"id": name, "config": {"context_length": received.json.get("context_length", 4096)}})
        return json_answer({"type": "llm", "instance_id": name, "load_time_seconds": 9.099, "status": "loaded"})

    def _unload(self, received: Received) -> Answer:
        name = received.json["instance_id"]
        for entry in self.models:
            for instance in entry["loaded_instances"]:
                if instance["id"] == name:
                    entry["loaded_instances"].remove(instance)
                    return json_answer({"instance_id": name})
        return refused("lm-studio", "unknown_model", 404)


def lm_studio_older(script: Script) -> None:
    """Before 0.4: it lists, and loads on request."""
    _unexpected(script, "/api/v1/models")
    script.on("GET /api/v0/models", json_answer(recorded("lm-studio", "old_models")))
    script.on("GET /v1/models", json_answer({"object": "list", "data": [{"id": "qwen2-vl-7b-instruct"}]}))
    script.on(CHAT, told("lm-studio", "reasoning"))
