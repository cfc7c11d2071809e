"""Another workbench's `/v1`: the queue in front of its LLM servers and of the cards that those share with ComfyUI.

From comfy_mcp/proxy/openai/models.py and comfy_mcp/proxy/openai/chat/completions.py. What it lists are the models of
its servers; workflows, which it answers as chat agents, and `auto`, which chooses among the models, are none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest, Done, Event, Loading, Prompting, Timings, Waiting
from llm_bridge.providers.interface import Call, Model, State
from llm_bridge.providers.openai import ChunkDecoder, OpenAICompatible
from llm_bridge.providers.reading import entries, flag, number, record, text_of, whole
from llm_bridge.transport import COMMENT, Transport

__all__ = ["ATTEMPT", "Workbench", "WorkbenchDecoder"]

ATTEMPT = "X-Workbench-Attempt"
"""The header that names the prompt whose graph asks."""

_STATES = {str(state): state for state in State}
_ATTEMPT = re.compile(r"[\w.-]{1,128}", re.ASCII)
_WAITING = re.compile(r"waiting(?:, (\d{1,9}) before it)?")
_LOADING = re.compile(r"loading (.+)")
_PROMPTING = "reading the prompt"


class Workbench(OpenAICompatible):
    """It loads and unloads as its queue wants, and nobody else tells it to."""

    kind: ClassVar[str] = "workbench"
    title: ClassVar[str] = "ComfyUI workbench"
    queues: ClassVar[bool] = True

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        told = await transport.get(f"{transport.endpoint.version}/models")
        return any(text_of(record(entry.get("workbench")), "kind") for entry in entries(told, "data"))

    async def models(self) -> list[Model]:
        told = await self.transport.get(f"{self.transport.endpoint.version}/models")
        texts = [entry for entry in entries(told, "data") if text_of(record(entry.get("workbench")), "kind") == "text"]
        return [self.model(entry) for entry in texts if text_of(entry, "id")]

    def model(self, entry: Mapping[str, Any]) -> Model:
        about = record(entry.get("workbench"))
        name, server, state = text_of(entry, "id"), text_of(about, "server"), text_of(about, "state")
        alone = name.removeprefix(f"{server}/")
        return Model(
            name,
            _STATES.get(state),
            context=whole(about, "context"),
            vision=flag(about, "vision"),
            tools=flag(about, "tools"),
            reasoning=flag(about, "reasoning"),
            aliases=(alone,) if alone != name else (),
        )

    def call(self, request: ChatRequest) -> Call:
        within = request.within or ""
        # ComfyUI takes any text for the id of a prompt; those that a workbench gave can stand in a header.
        headers = {ATTEMPT: within} if _ATTEMPT.fullmatch(within) else {}
        return replace(super().call(request), headers=headers)

    def special(self, request: ChatRequest) -> dict[str, Any]:
        return {} if request.think is None else {"think": request.think}

    def decoder(self, request: ChatRequest) -> WorkbenchDecoder:
        return WorkbenchDecoder(self.transport.name)


class WorkbenchDecoder(ChunkDecoder):
    """Its comments say what a request waits for, and its last chunk how long that took."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self._took = Timings()

    def feed(self, name: str, data: str) -> list[Event]:
        return _said(data) if name == COMMENT else super().feed(name, data)

    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        if told := record(chunk.get("workbench")):
            speed = number(told, "tokens_per_second")
            self._took = Timings(number(told, "load"), tokens_per_second=speed, queued=number(told, "queued"))
        return super().chunk(chunk)

    def end(self) -> Done:
        return replace(super().end(), timings=self._took)


def _said(comment: str) -> list[Event]:
    if found := _WAITING.fullmatch(comment):
        return [Waiting(int(found[1] or 0))]
    if found := _LOADING.fullmatch(comment):
        return [Loading(found[1])]
    return [Prompting()] if comment == _PROMPTING else []
