"""Any server of the OpenAI protocol, and what the dialects that speak it have in common.

Owns `/chat/completions` in both directions. Made from the OpenAI API reference and what servers really send:
`choices: []` beside usage, `content: null`, four names for reasoning, errors inside a 200, no `[DONE]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from llm_bridge.chat import (
    ChatRequest,
    Done,
    Event,
    Finish,
    Reasoning,
    Sampling,
    Timings,
    ToolCallPiece,
    Usage,
)
from llm_bridge.errors import BadAnswer, RequestRefused, ServerLost, UnknownModel
from llm_bridge.providers.interface import Call, Dialect, Model, called
from llm_bridge.providers.reading import entries, number, record, seconds_of, text_of, whole
from llm_bridge.refusals import refusal_in
from llm_bridge.shapes import to_openai
from llm_bridge.thinking import ThinkSplitter
from llm_bridge.transport import Transport

__all__ = ["ChunkDecoder", "OpenAICompatible"]

_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
_NOT_FOR_CHAT = re.compile(r"embed|minilm|rerank|(?<![a-z])bge(?![a-z])", re.IGNORECASE)
"""In the names of models that embed or rank, which the protocol does not tell apart."""

_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class OpenAICompatible(Dialect):
    """``sampling_names`` are the server's names for fields of `Sampling` that the protocol does not have."""

    kind: ClassVar[str] = "openai"
    title: ClassVar[str] = "An OpenAI-compatible server"
    sampling_names: ClassVar[Mapping[str, str]] = {}

    @classmethod
    async def recognises(cls, transport: Transport) -> bool:
        version = transport.endpoint.version
        try:
            return isinstance(record(await transport.get(f"{version}/models")).get("data"), list)
        except UnknownModel:
            return await _takes_chats(transport, f"{version}/chat/completions")

    async def models(self) -> list[Model]:
        try:
            told = await self.transport.get(f"{self.transport.endpoint.version}/models")
        except UnknownModel:
            # It answers for one model and has no list.
            return []
        return [self.model(entry) for entry in entries(told, "data") if text_of(entry, "id")]

    def model(self, entry: Mapping[str, Any]) -> Model:
        """One entry of the list."""
        name, window = text_of(entry, "id"), whole(entry, "context_length") or whole(entry, "max_model_len")
        return Model(name, max_context=window, chats=not _NOT_FOR_CHAT.search(name))

    def call(self, request: ChatRequest) -> Call:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": to_openai(request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.sampling(request.sampling),
        }
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in request.tools
            ]
        if request.tool_choice is not None:
            named = request.tool_choice not in ("auto", "none", "required")
            choice = {"type": "function", "function": {"name": request.tool_choice}} if named else request.tool_choice
            body["tool_choice"] = choice
        if request.schema is not None:
            wanted = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        body |= self.special(request)
        return Call(f"{self.transport.endpoint.version}/chat/completions", body | dict(request.extra))

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """What was set of it, under the server's names."""
        found: dict[str, Any] = {}
        for name in Sampling.__dataclass_fields__:
            value = getattr(sampling, name)
            if value not in (None, ()):
                found[self.sampling_names.get(name, name)] = list(value) if name == "stop" else value
        return found

    def special(self, request: ChatRequest) -> dict[str, Any]:
        """Fields for `think` and `ttl` and whatever else is this server's own."""
        return {}

    def decoder(self, request: ChatRequest) -> ChunkDecoder:
        return ChunkDecoder(self.transport.name)


class ChunkDecoder:
    """Chat completion chunks, or one whole completion, as events."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._splitter = ThinkSplitter()
        self._calls = _Calls(server)
        self._usage = Usage()
        self._timings = Timings()
        self._finish: Finish | None = None
        self._model = ""
        self.ended = False

    def feed(self, name: str, data: str) -> list[Event]:
        if self.ended:
            return []
        if data.strip() == "[DONE]":
            self.ended = True
            return []
        chunk = self._read(name, data)
        if (failure := chunk.get("error")) or name == "error" or chunk.get("object") == "error":
            raise refusal_in(self._server, failure or chunk)
        return self.chunk(chunk)

    def chunk(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of one chunk."""
        self._model = text_of(chunk, "model") or self._model
        self._learn(chunk)
        events: list[Event] = []
        for choice in entries(chunk, "choices"):
            # Nobody asks for a second answer; a server that gives one all the same must not mix it in.
            if not choice.get("index"):
                events += self._choice(choice)
        return events

    def flush(self) -> list[Event]:
        return self._splitter.end()

    def end(self) -> Done:
        if not self.ended and self._finish is None:
            raise ServerLost(f"{self._server} broke off in the middle of its answer.", hint="Ask again.")
        return Done(self._finish or "unknown", self._usage, self._timings, self._model)

    def _read(self, name: str, data: str) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = {"error": data} if name == "error" else None
        if not isinstance(found, dict):
            raise BadAnswer(f"{self._server} sends what is no JSON object.", hint="Look at its log.")
        return cast("dict[str, Any]", found)

    def _choice(self, choice: Mapping[str, Any]) -> list[Event]:
        delta = record(choice.get("delta") or choice.get("message"))
        events: list[Event] = []
        for name in _REASONING:
            if delta.get(name) and (thought := text_of(delta, name)):
                events.append(Reasoning(thought))
                break
        if said := text_of(delta, "content") or text_of(choice, "text"):
            events += self._splitter.feed(said)
        if delta.get("tool_calls"):
            events += map(self._calls.piece, entries(delta, "tool_calls"))
        if delta.get("function_call") and (legacy := record(delta["function_call"])):
            events.append(self._calls.piece({"index": 0, "function": legacy}))
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish = _FINISHES.get(reason, "unknown")
        return events

    def _learn(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("usage") and (usage := record(chunk["usage"])):
            self._usage = Usage(
                prompt=whole(usage, "prompt_tokens"),
                completion=whole(usage, "completion_tokens"),
                cached=whole(record(usage.get("prompt_tokens_details")), "cached_tokens"),
                reasoning=whole(record(usage.get("completion_tokens_details")), "reasoning_tokens"),
            )
        # llama.cpp: tools/server/README.md, "timings"
        if chunk.get("timings") and (timings := record(chunk["timings"])):
            self._timings = Timings(
                prompt=seconds_of(timings, "prompt_ms"),
                generation=seconds_of(timings, "predicted_ms"),
                tokens_per_second=number(timings, "predicted_per_second"),
            )


class _Calls:
    """Which tool call a piece belongs to: some servers send no index, some 0 for each call."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._ids: list[str] = []
        self._places: dict[int | None, int] = {}

    def piece(self, call: Mapping[str, Any]) -> ToolCallPiece:
        function, id = record(call.get("function")), text_of(call, "id")
        name, arguments = text_of(function, "name"), function.get("arguments")
        place, began = self._place(whole(call, "index"), id, name)
        return ToolCallPiece(
            place,
            # Some servers send the arguments as an object.
            text_of(function, "arguments") or (json.dumps(arguments) if isinstance(arguments, dict | list) else ""),
            id=self._ids[place] if began else "",
            name=name if began else "",
        )

    def _place(self, index: int | None, id: str, name: str) -> tuple[int, bool]:
        """The call's place among all of this answer, and whether it begins here."""
        place = self._places.get(index)
        another = bool(id) and place is not None and id != self._ids[place]
        if place is not None and not another and not (index is None and name and not id):
            return place, False
        called(self._server, len(self._ids))
        self._places[index] = place = len(self._ids)
        self._ids.append(id or f"call_{place}")
        return place, True


async def _takes_chats(transport: Transport, path: str) -> bool:
    """Whether it refuses an empty chat for what is missing in it."""
    try:
        await transport.post(path, {})
    except (RequestRefused, UnknownModel) as refused:
        return refused.details.get("status") in (400, 422)
    return False
