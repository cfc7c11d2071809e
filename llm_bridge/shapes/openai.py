"""Messages as `/v1/chat/completions` has them, read leniently in form and strictly in meaning.

Beside today's fields it reads the role developer, the parts of the Responses API, the older `function_call` with its
role function, and reasoning under both of its names (`ggml-org/llama.cpp:tools/server/README.md`,
`ollama/ollama:openai/openai.go`). Fields of a message that say nothing about what is said are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message, Part, Role, ToolCall
from llm_bridge.shapes.pictures import LIMITS, ImageLimits, Pictures
from llm_bridge.shapes.reading import items, mapping, text, text_or_none

__all__ = ["from_openai", "to_openai"]

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXTS = ("text", "input_text", "output_text")
_IMAGES = ("image_url", "input_image")


def from_openai(messages: object, limits: ImageLimits = LIMITS) -> tuple[Message, ...]:
    """The messages of a JSON body. Texts that are empty are left out of the parts.

    Raises: BadInput, which names the message that cannot be understood.
    """
    reader = _Reader(limits)
    return tuple(reader.message(value, f"messages[{n}]") for n, value in enumerate(items(messages, "messages")))


class _Reader:
    def __init__(self, limits: ImageLimits) -> None:
        self._pictures = Pictures(limits)
        self._calls = 0
        # The older shape has no ids: an answer belongs to the last call of its function.
        self._open: dict[str, str] = {}

    def message(self, value: object, where: str) -> Message:
        fields = mapping(value, where)
        given = text(fields.get("role"), f"{where}.role")
        role = _ROLES.get(given)
        if role is None:
            raise BadInput(f'{where} has the unknown role "{given[:40]}".', hint=f"Known are {', '.join(_ROLES)}.")
        return Message(
            role,
            self._parts(fields.get("content"), f"{where}.content"),
            reasoning=_reasoning(fields) if role == "assistant" else "",
            tool_calls=self._tool_calls(fields, role, where),
            answers=self._answers(fields, given, where),
            name=text_or_none(fields.get("name"), f"{where}.name"),
        )

    def _parts(self, content: object, where: str) -> tuple[Part, ...]:
        if content is None or isinstance(content, str):
            return (content,) if content else ()
        parts = [self._part(part, f"{where}[{n}]") for n, part in enumerate(items(content, where))]
        return tuple(part for part in parts if part != "")

    def _part(self, value: object, where: str) -> Part:
        part = mapping(value, where)
        kind = part.get("type")
        if kind in _TEXTS:
            return text(part.get("text"), f"{where}.text")
        if kind in _IMAGES:
            where, url = f"{where}.image_url", part.get("image_url")
            url = url if isinstance(url, str) else mapping(url, where).get("url")
            return self._pictures.from_url(text(url, where), where)
        raise BadInput(
            f"{where} is of a kind that is not understood.", hint=f"Known are {', '.join(_TEXTS + _IMAGES)}."
        )

    def _tool_calls(self, fields: Mapping[str, object], role: Role, where: str) -> tuple[ToolCall, ...]:
        calls, legacy = fields.get("tool_calls"), fields.get("function_call")
        if (calls or legacy) and role != "assistant":
            raise BadInput(f"{where} calls tools, which only the role assistant can.")
        if legacy:
            self._calls += 1
            call = _call(f"function_{self._calls}", legacy, f"{where}.function_call")
            self._open[call.name] = call.id
            return (call,)
        listed = enumerate(items(calls, f"{where}.tool_calls")) if calls is not None else ()
        return tuple(_tool_call(value, f"{where}.tool_calls[{n}]") for n, value in listed)

    def _answers(self, fields: Mapping[str, object], given: str, where: str) -> str | None:
        if given == "tool":
            return text(fields.get("tool_call_id"), f"{where}.tool_call_id")
        if given == "function":
            name = text(fields.get("name"), f"{where}.name")
            if name not in self._open:
                raise BadInput(f"{where} answers a function that was not called before it.")
            return self._open.pop(name)
        return None


def _reasoning(fields: Mapping[str, object]) -> str:
    found = (fields.get(name) for name in ("reasoning_content", "reasoning"))
    return next((value for value in found if isinstance(value, str)), "")


def _tool_call(value: object, where: str) -> ToolCall:
    call = mapping(value, where)
    if call.get("type", "function") != "function":
        raise BadInput(f"{where} is of a kind that is not understood.", hint="Known is function.")
    return _call(text(call.get("id"), f"{where}.id"), call.get("function"), f"{where}.function")


def _call(id: str, value: object, where: str) -> ToolCall:
    function = mapping(value, where)
    arguments = function.get("arguments", "")
    if isinstance(arguments, dict):
        # As Ollama has it: the object itself instead of its text.
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id, text(function.get("name"), f"{where}.name"), text(arguments, f"{where}.arguments"))


def to_openai(messages: Iterable[Message], *, reasoning: bool = False) -> list[dict[str, Any]]:
    """As JSON. What the role system says becomes one message in front, as many chat templates take no other place.

    ``reasoning`` hands the model its earlier thoughts as well, as `reasoning_content`.
    """
    messages = tuple(messages)
    system = [message for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    first = [{"role": "system", "content": _content(_joined(system))}] if system else []
    return [*first, *(_message(message, reasoning) for message in others)]


def _joined(system: Sequence[Message]) -> tuple[Part, ...]:
    if all(isinstance(part, str) for message in system for part in message.parts):
        return ("\n\n".join(message.text for message in system),)
    return tuple(part for message in system for part in message.parts)


def _message(message: Message, reasoning: bool) -> dict[str, Any]:
    content = _content(message.parts)
    written: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        written["content"] = content or None
        written["tool_calls"] = [_written_call(call) for call in message.tool_calls]
    if message.answers is not None:
        written["tool_call_id"] = message.answers
    if message.name is not None:
        written["name"] = message.name
    if reasoning and message.reasoning:
        written["reasoning_content"] = message.reasoning
    return written


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if not any(isinstance(part, Image) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return [_written_part(part) for part in parts if part != ""]


def _written_part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.url}}


def _written_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
