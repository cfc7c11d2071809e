"""Messages as Anthropic's `/v1/messages` has them: blocks, answers of tools inside user turns, instructions apart.

The shape is that of `anthropics/anthropic-sdk-python:src/anthropic/types/message_param.py`. It has no field for the
name of a speaker, and reads no signature of a thought: only the model that wrote it could use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from llm_bridge.errors import BadInput
from llm_bridge.messages import Message, Part, Role, ToolCall
from llm_bridge.shapes.pictures import LIMITS, ImageLimits, Pictures
from llm_bridge.shapes.reading import items, mapping, text

__all__ = ["from_anthropic", "to_anthropic"]

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant"}
_KNOWN = "text, image, tool_use, tool_result and thinking"


def from_anthropic(system: object, messages: object, limits: ImageLimits = LIMITS) -> tuple[Message, ...]:
    """The messages of a JSON body, ``system`` first. Each answer of a tool becomes a message of its own.

    Raises: BadInput, which names the message that cannot be understood.
    """
    pictures = Pictures(limits)
    read: list[Message] = []
    instructions = "\n\n".join(_system(system))
    if instructions:
        read.append(Message.system(instructions))
    for n, value in enumerate(items(messages, "messages")):
        read += _messages(value, f"messages[{n}]", pictures)
    return tuple(read)


def _system(value: object) -> Iterable[str]:
    if value is None or isinstance(value, str):
        return [value] if value else []
    blocks = [(mapping(block, f"system[{n}]"), f"system[{n}]") for n, block in enumerate(items(value, "system"))]
    return [text(block.get("text"), f"{where}.text") for block, where in blocks]


def _messages(value: object, where: str, pictures: Pictures) -> list[Message]:
    fields = mapping(value, where)
    role = _ROLES.get(text(fields.get("role"), f"{where}.role"))
    if role is None:
        raise BadInput(f"{where} has an unknown role.", hint="Known are user and assistant.")
    content = fields.get("content")
    if isinstance(content, str):
        return [Message(role, (content,) if content else ())]
    turn = _Turn(role, pictures)
    for n, block in enumerate(items(content, f"{where}.content")):
        turn.add(mapping(block, f"{where}.content[{n}]"), f"{where}.content[{n}]")
    return turn.messages()


class _Turn:
    """Gathers the blocks of one turn into messages."""

    def __init__(self, role: Role, pictures: Pictures) -> None:
        self._role: Role = role
        self._pictures = pictures
        self._read: list[Message] = []
        self._parts: list[Part] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []

    def add(self, block: Mapping[str, object], where: str) -> None:
        match block.get("type"), self._role:
            case (("text" | "image"), _):
                self._parts += _parts(block, where, self._pictures)
            case "tool_result", "user":
                self._close()
                self._read.append(_answer(block, where, self._pictures))
            case "tool_use", "assistant":
                arguments = json.dumps(mapping(block.get("input"), f"{where}.input"), ensure_ascii=False)
                name = text(block.get("name"), f"{where}.name")
                self._calls.append(ToolCall(text(block.get("id"), f"{where}.id"), name, arguments))
            case "thinking", "assistant":
                self._thoughts.append(text(block.get("thinking"), f"{where}.thinking"))
            case "redacted_thinking", "assistant":
                pass  # encrypted by its author
            case _:
                raise BadInput(f"{where} is of a kind that is not understood here.", hint=f"Known are {_KNOWN}.")

    def messages(self) -> list[Message]:
        self._close()
        return self._read or [Message(self._role)]

    def _close(self) -> None:
        if self._parts or self._calls or self._thoughts:
            thoughts = "".join(self._thoughts)
            self._read.append(Message(self._role, tuple(self._parts), thoughts, tuple(self._calls)))
        self._parts, self._thoughts, self._calls = [], [], []


def _parts(block: Mapping[str, object], where: str, pictures: Pictures) -> list[Part]:
    if block.get("type") == "text":
        said = text(block.get("text"), f"{where}.text")
        return [said] if said else []
    source = mapping(block.get("source"), f"{where}.source")
    if source.get("type") != "base64":
        raise BadInput(f"{where} is no picture in base64.", hint="Put the picture in as base64: nothing is fetched.")
    return [pictures.from_base64(text(source.get("data"), f"{where}.source.data"), where)]


def _answer(block: Mapping[str, object], where: str, pictures: Pictures) -> Message:
    answers = text(block.get("tool_use_id"), f"{where}.tool_use_id")
    content = block.get("content")
    if content is None or isinstance(content, str):
        return Message("tool", (content,) if content else (), answers=answers)
    parts: list[Part] = []
    for n, value in enumerate(items(content, f"{where}.content")):
        inner = mapping(value, f"{where}.content[{n}]")
        if inner.get("type") not in ("text", "image"):
            raise BadInput(
                f"{where}.content[{n}] is of a kind that is not understood here.", hint="Known: text, image."
            )
        parts += _parts(inner, f"{where}.content[{n}]", pictures)
    return Message("tool", tuple(parts), answers=answers)


def to_anthropic(messages: Iterable[Message], *, reasoning: bool = False) -> tuple[str, list[dict[str, Any]]]:
    """The instructions and the turns as JSON. Neighbours of one role are one turn, since turns must alternate.

    ``reasoning`` hands the model its earlier thoughts as well. Arguments of a tool that are no JSON object are handed
    over as the text ``arguments`` of one. Nothing is empty: what says nothing is left out.
    """
    messages = tuple(messages)
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, reasoning)
        if message.role == "system" or not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return "\n\n".join(message.text for message in messages if message.role == "system" and message.text), turns


def _blocks(message: Message, reasoning: bool) -> list[dict[str, Any]]:
    said = [_block(part) for part in message.parts if part != ""]
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.answers or "", "content": said}]
    thoughts = [{"type": "thinking", "thinking": message.reasoning, "signature": ""}]
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
        for call in message.tool_calls
    ]
    return [*(thoughts if reasoning and message.reasoning else []), *said, *calls]


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.base64}}


def _input(arguments: str) -> dict[str, Any]:
    try:
        read: object = json.loads(arguments or "{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        read = None
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {"arguments": arguments}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
