"""Messages to Ollama and the lines of its answers.

Owns both wire formats, which differ from the OpenAI protocol in pictures (bare base64 beside the text), arguments of
tool calls (an object) and the last line (token counts and durations in nanoseconds). Used by `ollama`. From
`ollama/ollama:api/types.go` (Message, ToolCall, ChatResponse, Metrics) and `docs/api/errors.mdx`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from llm_bridge.chat import Done, Event, Finish, Reasoning, Timings, ToolCallPiece, Usage
from llm_bridge.errors import BadAnswer, ServerLost
from llm_bridge.messages import Message, ToolCall
from llm_bridge.providers.interface import called
from llm_bridge.providers.reading import entries, record, seconds_of, text_of, whole
from llm_bridge.refusals import refusal_in
from llm_bridge.thinking import ThinkSplitter

__all__ = ["LineDecoder", "to_ollama"]

_NANOSECONDS = 1e9
_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length"}


def to_ollama(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """As JSON. What the role system says becomes one message in front, as many chat templates take no other place."""
    messages = tuple(messages)
    system = [message for message in messages if message.role == "system"]
    parts = tuple(part for message in system for part in message.images)
    said = "\n\n".join(message.text for message in system)
    first = [_message(Message("system", (*parts, said)), {})] if system else []
    names: dict[str, str] = {}
    written: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "system":
            # An id may come again, so that an answer belongs to the last call that has it.
            names |= {call.id: call.name for call in message.tool_calls}
            written.append(_message(message, names))
    return first + written


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        written["images"] = [image.base64 for image in message.images]
    if message.tool_calls:
        written["tool_calls"] = [_written_call(call) for call in message.tool_calls]
        if message.reasoning:
            # A model goes on with the thought that led to the call.
            written["thinking"] = message.reasoning
    if message.answers is not None:
        written["tool_call_id"] = message.answers
        written["tool_name"] = names.get(message.answers, "")
    return written


def _written_call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = record(json.loads(call.arguments))
    except (ValueError, RecursionError):
        # No other shape is taken; a model may have written no JSON.
        arguments = {"text": call.arguments} if call.arguments else {}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


class LineDecoder:
    """The lines of one answer as events."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._splitter = ThinkSplitter()
        self._calls = 0
        self._done: Done | None = None

    @property
    def ended(self) -> bool:
        return self._done is not None

    def feed(self, name: str, data: str) -> list[Event]:
        if self.ended:
            return []
        try:
            line = record(json.loads(data))
        except (ValueError, RecursionError):
            raise BadAnswer(f"{self._server} sends what is no JSON.", hint="Look at its log.") from None
        if line.get("error"):
            raise refusal_in(self._server, line["error"])
        events = self._said(record(line.get("message")), text_of(line, "created_at"))
        if line.get("done") is True:
            self._done = self._ending(line)
        return events

    def flush(self) -> list[Event]:
        return self._splitter.end()

    def end(self) -> Done:
        if self._done is None:
            raise ServerLost(f"{self._server} broke off in the middle of its answer.", hint="Ask again.")
        return self._done

    def _said(self, message: Mapping[str, Any], when: str) -> list[Event]:
        events: list[Event] = []
        if thought := text_of(message, "thinking"):
            events.append(Reasoning(thought))
        if said := text_of(message, "content"):
            # Without its own parser for a model it leaves the tags where they are.
            events += self._splitter.feed(said)
        for call in entries(message, "tool_calls"):
            events.append(self._call(call, when))
        return events

    def _call(self, call: Mapping[str, Any], when: str) -> ToolCallPiece:
        function, index = record(call.get("function")), self._calls
        called(self._server, index)
        self._calls += 1
        name, arguments = text_of(function, "name"), json.dumps(function.get("arguments") or {}, ensure_ascii=False)
        # Older servers give none; an id must hold for one conversation, and be the same for the same answer.
        made = hashlib.sha256(f"{when} {index} {name} {arguments}".encode()).hexdigest()[:12]
        return ToolCallPiece(index, arguments, id=text_of(call, "id") or f"call_{made}", name=name)

    def _ending(self, line: Mapping[str, Any]) -> Done:
        finish = _FINISHES.get(text_of(line, "done_reason"), "unknown")
        tokens, lasted = whole(line, "eval_count"), seconds_of(line, "eval_duration", _NANOSECONDS)
        return Done(
            "tool_calls" if self._calls and finish == "stop" else finish,
            Usage(prompt=whole(line, "prompt_eval_count"), completion=tokens),
            Timings(
                load=seconds_of(line, "load_duration", _NANOSECONDS),
                prompt=seconds_of(line, "prompt_eval_duration", _NANOSECONDS),
                generation=lasted,
                tokens_per_second=tokens / lasted if tokens and lasted else None,
            ),
            text_of(line, "model"),
        )
