"""Jan's local API server, which hands chats on to the llama.cpp servers that it started.

From janhq/jan:src-tauri/src/core/server/proxy.rs and src-tauri/static/openapi.json. Not run against a real server.
What it serves of the latter tells which of its versions it is: older ones list only what is loaded, and load nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llm_bridge.errors import UnknownModel
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.llama_cpp import LlamaChat
from llm_bridge.providers.loading import loading
from llm_bridge.providers.reading import entries, record, text_of, whole
from llm_bridge.transport import Transport

__all__ = ["Jan"]

_STATES = {"running": State.LOADED, "available": State.UNLOADED}


class Jan(LlamaChat):
    """It answers for a model only once that was loaded, here or in its window."""

    kind: ClassVar[str] = "jan"
    title: ClassVar[str] = "Jan"
    ports: ClassVar[tuple[int, ...]] = (1337,)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._lists_all = False

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        # This page is there without the key, too.
        return text_of(record((await _described(transport)).get("info")), "title").startswith("Jan API")

    async def learn(self) -> None:
        paths = record((await _described(self.transport)).get("paths"))
        self.loads, self.unloads = "/models/load" in paths, "/models/unload" in paths
        self._lists_all = "/models/available" in paths

    async def models(self) -> list[Model]:
        served = await super().models()
        if not self._lists_all:
            return served
        told = await self.transport.get(f"{self.transport.endpoint.version}/models/available")
        local = [self._on_disk(entry) for entry in entries(told, "data") if text_of(entry, "id")]
        names = {model.id for model in local}
        # What else it serves is on other machines, and in nobody's memory here.
        return local + [Model(model.id) for model in served if model.id not in names]

    def model(self, entry: Mapping[str, Any]) -> Model:
        return Model(text_of(entry, "id"), State.LOADED)

    def _on_disk(self, entry: Mapping[str, Any]) -> Model:
        can = entry.get("capabilities")
        return Model(
            text_of(entry, "id"),
            _STATES.get(text_of(entry, "status")),
            size=whole(entry, "size_bytes"),
            chats=not (isinstance(can, list) and "embedding" in can and "chat" not in can),
        )

    async def load(self, model: str, *, context: int | None = None, ttl: float | None = None) -> None:
        if not self.loads:
            await super().load(model)
        seconds = self.transport.timeouts.load
        body: dict[str, Any] = {"model": model, "timeout": max(1, round(seconds))}
        if context is not None:
            body["ctx_size"] = context
        with loading():
            await self.transport.post(f"{self.transport.endpoint.version}/models/load", body, seconds=seconds)

    async def unload(self, model: str) -> None:
        if not self.unloads:
            await super().unload(model)
        try:
            await self.transport.post(f"{self.transport.endpoint.version}/models/unload", {"model": model})
        except UnknownModel:
            # So it says of one that is not loaded.
            return


async def _described(transport: Transport) -> dict[str, Any]:
    return record(await transport.get("/openapi.json"))
