"""A chat completion request, read strictly: known fields of another type are refused by name, unknown ones ignored.

Owns which fields count (`openai/openai-python:src/openai/types/chat/completion_create_params.py`, and what llama.cpp,
vLLM and Ollama take beside them). `n` above 1 is refused; `logprobs` and `parallel_tool_calls` are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import JobRequest
from comfy_mcp.proxy.asking import Asker, object_of
from comfy_mcp.proxy.openai.chat.messages import messages_of
from comfy_mcp.proxy.openai.chat.tools import schema_of, think_of, tool_choice_of, tools_of
from comfy_mcp.texts import CHAT
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.chat_values import CHAT_TAKES, ChatValues, chat_values
from comfy_mcp.workbench.refusals import refused
from comfy_mcp.workbench.settling import settled
from llm_bridge.chat import ChatRequest
from llm_bridge.messages import Message

__all__ = ["ATTEMPT", "Completion", "CompletionIn", "completion_of", "settled_chat"]

ATTEMPT = "X-Workbench-Attempt"
"""Header or field: the attempt whose graph asks, so that it is admitted under what that attempt holds."""


class CompletionIn(BaseModel):
    """The body. Ranges are those of a chat everywhere; here are the types."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    model: Annotated[str, Field(min_length=1, max_length=256, description="As `/v1/models` lists them.")]
    messages: Annotated[list[Any], Field(min_length=1, max_length=10_000, description="The conversation.")]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: Annotated[int | None, Field(ge=1, le=1, description="Only one answer at a time.")] = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    repeat_penalty: Annotated[float | None, Field(ge=0, le=10)] = None
    repetition_penalty: Annotated[float | None, Field(ge=0, le=10)] = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    response_format: Any = None
    reasoning_effort: str | None = None
    think: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    attempt: Annotated[str | None, Field(alias=ATTEMPT, max_length=128)] = None


@dataclass(frozen=True, slots=True)
class Completion:
    """``chat`` is what is asked. ``usage``: a stream is to tell its tokens. ``within`` is the attempt that asks."""

    chat: ChatRequest
    stream: bool
    usage: bool
    within: str | None


async def completion_of(request: Request) -> Completion:
    """What a request asks. Nothing has been asked of any server yet, and nothing was fetched.

    Raises:
        InvalidParameter: a field that cannot be used; it is named.
        BadRequest, TooLarge: no JSON, or too many addresses of pictures.
    """
    told = _read(await object_of(request, pictures=True))
    usage = (told.stream_options or {}).get("include_usage")
    if usage is not None and not isinstance(usage, bool):
        raise InvalidParameter(
            "stream_options", "stream_options.include_usage is neither true nor false.", hint="Mend it."
        )
    tools = tools_of(told.tools or ())
    chat = _chat(told, chat_values(_values(told)))
    chat = replace(
        chat,
        messages=await messages_of(told.messages),
        tools=tools,
        tool_choice=tool_choice_of(told.tool_choice, tools),
        schema=schema_of(told.response_format),
    )
    within = request.headers.get(ATTEMPT, "").strip() or told.attempt
    return Completion(chat, told.stream is True, usage is True, within)


async def settled_chat(chat: ChatRequest, workbench: Workbench, asker: Asker) -> ChatRequest:
    """The same with what is locked, and what its asker sends with every call, laid over it.

    Raises InvalidParameter for what is locked and cannot be.
    """
    sampling = chat.sampling
    given = {name: getattr(sampling, name) for name in _SAMPLED} | {"model": chat.model, "think": chat.think}
    # Which model is asked is what the call is about, as a template is elsewhere.
    free = frozenset({"model"})
    schedule = JobRequest(CHAT, given, owner=asker.owner, standing=asker.standing, free=free)
    told = await settled(CHAT_TAKES, schedule, workbench.store, workbench.settings.locked)
    while True:
        laid = told.laid()
        if not laid.whose:
            return chat
        try:
            values = chat_values({"prompt": "-", **laid.values})
            break
        except InvalidParameter as failure:
            if not told.without(failure):
                raise
    messages = (Message.system(values.system), *chat.messages) if values.system else chat.messages
    sampling = replace(sampling, **{name: getattr(values, name) for name in _SAMPLED})
    return replace(chat, model=values.model, messages=messages, sampling=sampling, think=values.think)


_SAMPLED = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "stop")


def _read(body: dict[str, Any]) -> CompletionIn:
    try:
        return CompletionIn.model_validate(body)
    except ValidationError as failure:
        raise refused(failure, "chat completion", CompletionIn.model_fields) from None


def _values(told: CompletionIn) -> dict[str, Any]:
    """The fields that every chat has, by our names; what some clients send for "as you like" is left out."""
    most = told.max_completion_tokens if told.max_completion_tokens is not None else told.max_tokens
    stop = [told.stop] if isinstance(told.stop, str) else told.stop or []
    think = think_of(told.think, told.reasoning_effort, told.chat_template_kwargs)
    values = {
        "model": told.model,
        "prompt": "-",
        "temperature": told.temperature,
        "top_p": told.top_p,
        "top_k": _unless_negative(told.top_k),
        "min_p": told.min_p,
        "seed": _unless_negative(told.seed),
        "max_tokens": None if most == -1 else most,
        "stop": tuple(text for text in stop if text),
        "think": think,
    }
    return {name: value for name, value in values.items() if value is not None}


def _unless_negative(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def _chat(told: CompletionIn, values: ChatValues) -> ChatRequest:
    chat = values.request()
    repeat = told.repeat_penalty if told.repeat_penalty is not None else told.repetition_penalty
    penalties = {"presence_penalty": told.presence_penalty, "frequency_penalty": told.frequency_penalty}
    return replace(chat, sampling=replace(chat.sampling, repeat_penalty=repeat, **penalties))
