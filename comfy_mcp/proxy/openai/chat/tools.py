"""The parts of a chat completion request that are objects of their own: tools, the shape of the answer, thinking.

Owns their shapes (`openai/openai-python:src/openai/types/chat/completion_create_params.py`), read strictly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from comfy_mcp.errors import InvalidParameter
from llm_bridge.chat import Tool

__all__ = ["schema_of", "think_of", "tool_choice_of", "tools_of"]

_MOST_TOOLS = 512
_EFFORTS = {
    "none": False,
    "minimal": False,
    "low": True,
    "medium": True,
    "high": True,
    "xhigh": True,
    "max": True,
}


def tools_of(told: Sequence[Any]) -> tuple[Tool, ...]:
    """The functions that the model may call. Raises InvalidParameter."""
    if len(told) > _MOST_TOOLS:
        raise _wrong("tools", f"tools has more than {_MOST_TOOLS} entries")
    return tuple(_tool(each, f"tools[{number}]") for number, each in enumerate(told))


def _tool(told: Any, where: str) -> Tool:
    fields = _object(told, where, "tools")
    if fields.get("type", "function") != "function":
        raise _wrong("tools", f"{where} is no function, and others are not known")
    function = _object(fields.get("function"), f"{where}.function", "tools")
    name, description = function.get("name"), function.get("description") or ""
    if not isinstance(name, str) or not name or not isinstance(description, str):
        raise _wrong("tools", f"{where}.function must have a name, and a text as its description")
    parameters = function.get("parameters")
    if parameters is None:
        return Tool(name, description)
    return Tool(name, description, _object(parameters, f"{where}.function.parameters", "tools"))


def tool_choice_of(told: Any, tools: Sequence[Tool]) -> str | None:
    """auto, none, required, or the name of a tool. Raises InvalidParameter."""
    if told is None or told in ("auto", "none", "required"):
        return cast("str | None", told)
    function = _object(told, "tool_choice", "tool_choice").get("function")
    name = _object(function, "tool_choice.function", "tool_choice").get("name")
    if name not in [tool.name for tool in tools]:
        raise _wrong("tool_choice", "tool_choice names none of the tools")
    return cast("str", name)


def schema_of(told: Any) -> Mapping[str, Any] | None:
    """The JSON Schema that `response_format` asks the answer to fit. Raises InvalidParameter.

    llama.cpp takes `schema` beside `json_object` as well.
    """
    if told is None:
        return None
    fields = _object(told, "response_format", "response_format")
    match fields.get("type"):
        case "text":
            return None
        case "json_object":
            return _object(fields.get("schema", {"type": "object"}), "response_format.schema", "response_format")
        case "json_schema":
            inner = _object(fields.get("json_schema"), "response_format.json_schema", "response_format")
            where = "response_format.json_schema.schema"
            return _object(inner.get("schema", {"type": "object"}), where, "response_format")
        case _:
            raise _wrong("response_format", "response_format is neither text, json_object nor json_schema")


def think_of(think: bool | None, effort: str | None, template: Mapping[str, Any] | None) -> bool | None:
    """Whether a model that can think shall: as Ollama (``think``), OpenAI (``effort``) and vLLM say it.

    Raises InvalidParameter.
    """
    if think is not None:
        return think
    wanted = (template or {}).get("enable_thinking")
    if wanted is not None and not isinstance(wanted, bool):
        raise _wrong("chat_template_kwargs", "chat_template_kwargs.enable_thinking is neither true nor false")
    if wanted is not None or effort is None:
        return wanted
    if effort not in _EFFORTS:
        raise _wrong("reasoning_effort", f"reasoning_effort is none of {', '.join(_EFFORTS)}")
    return _EFFORTS[effort]


def _object(told: Any, where: str, parameter: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise _wrong(parameter, f"{where} is not an object")
    return cast("dict[str, Any]", told)


def _wrong(parameter: str, what: str) -> InvalidParameter:
    return InvalidParameter(parameter, f"{what}.", hint="Mend it, or leave it out.")
