"""vLLM's server.

From vllm-project/vllm:vllm/entrypoints/openai/chat_completion/protocol.py, vllm/entrypoints/serve/tokenize/protocol.py
and vllm/entrypoints/openai/api_server.py. Not run against a real server. One that was started with a key asks for it
only below `/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from llm_bridge.chat import ChatRequest
from llm_bridge.errors import RequestRefused, UnknownModel
from llm_bridge.providers.interface import Model, State
from llm_bridge.providers.openai import OpenAICompatible
from llm_bridge.providers.reading import entries, record, text_of, whole
from llm_bridge.transport import Transport

__all__ = ["VLLM"]

_COUNTED = ("model", "messages", "tools", "chat_template_kwargs")


class VLLM(OpenAICompatible):
    """It has its models in memory from its start to its end."""

    kind: ClassVar[str] = "vllm"
    title: ClassVar[str] = "vLLM"
    ports: ClassVar[tuple[int, ...]] = (8000,)
    sampling_names: ClassVar[Mapping[str, str]] = {"repeat_penalty": "repetition_penalty"}

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        if not text_of(record(await transport.get("/version")), "version"):
            return False
        listed = entries(await transport.get(f"{transport.endpoint.version}/models"), "data")
        return any(text_of(entry, "owned_by") == "vllm" for entry in listed)

    def model(self, entry: Mapping[str, Any]) -> Model:
        window = whole(entry, "max_model_len")
        return replace(super().model(entry), state=State.LOADED, context=window, max_context=window)

    def special(self, request: ChatRequest) -> dict[str, Any]:
        return {} if request.think is None else {"chat_template_kwargs": {"enable_thinking": request.think}}

    async def count(self, request: ChatRequest) -> int | None:
        body = self.call(request).body
        try:
            told = await self.transport.post("/tokenize", {name: body[name] for name in _COUNTED if name in body})
        except (RequestRefused, UnknownModel):
            return None
        return whole(record(told), "count")
