"""A chat asked for like a template: `{"template": "chat", "values": {"model", "prompt", …}}` as a request.

Owns the names and ranges of these values, for REST, MCP and the command line, and how they are told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import JobRequest
from comfy_mcp.texts import CHAT
from comfy_mcp.workbench.refusals import refused
from comfy_mcp.workbench.settling import Takes
from llm_bridge.chat import ChatRequest, Sampling
from llm_bridge.messages import Image, Message

__all__ = [
    "CHAT_LISTED",
    "CHAT_PICTURES",
    "CHAT_TAKES",
    "ChatValues",
    "chat_values",
    "described_chat",
    "refuse_what_pictures_have",
    "said",
]

CHAT_PICTURES = ("image",)
"""The values that name a picture."""

CHAT_LISTED = {"id": CHAT, "title": "Chat", "description": "Ask a language model; the answer is a text."}
"""How a chat stands in a list of templates."""

_SAMPLED = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens")
_KINDS = {"model": "model", "image": "image", "seed": "seed"}
_LABELS = {
    "prompt": "Prompt",
    "model": "Model",
    "system": "System prompt",
    "image": "Image",
    "temperature": "Temperature",
    "top_p": "Top P",
    "top_k": "Top K",
    "min_p": "Min P",
    "seed": "Seed",
    "max_tokens": "Longest answer",
    "stop": "Stop at",
    "think": "Think first",
    "schema": "Form of the answer",
}
"""What each value is called in a form."""
_TYPES = {"integer": "int", "number": "float", "boolean": "bool"}


def said(text: str) -> str:
    """The text, unless there is nothing but white space in it. Raises ValueError."""
    if not text.strip():
        raise ValueError("is empty")
    return text


def _several(value: Any) -> Any:
    """One text stands for a list of it, none for an empty list."""
    return (value,) * bool(value) if isinstance(value, str) else value


def _read(value: Any) -> Any:
    """An object may come as text, as a command line gives it."""
    try:
        return from_json(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("is not JSON") from None


_Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class ChatValues(BaseModel):
    """What a chat takes; texts of numbers are taken for numbers, as a command line gives them."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, description="What to ask."), AfterValidator(said)]
    model: Annotated[str, Field(min_length=1, max_length=256, description="Which model; auto chooses one.")] = "auto"
    system: Annotated[str, Field(description="What the model is told before.")] = ""
    image: Annotated[str | None, Field(max_length=64, description="A picture that the prompt is about.")] = None
    temperature: Annotated[float | None, Field(ge=0, le=5, description="0 is the likeliest, 1 is lively.")] = None
    top_p: Annotated[float | None, Field(gt=0, le=1, description="Share of the likeliest tokens, more than 0.")] = None
    top_k: Annotated[int | None, Field(ge=0, le=100_000, description="So many of the likeliest tokens.")] = None
    min_p: Annotated[float | None, Field(ge=0, le=1, description="Least share of the likeliest token.")] = None
    seed: Annotated[int | None, Field(ge=0, le=2**53 - 1, description="The same seed, the same answer.")] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=10_000_000, description="In tokens, a few letters each.")] = None
    stop: Annotated[
        tuple[_Stop, ...], BeforeValidator(_several), Field(max_length=16, description="Texts that end the answer.")
    ] = ()
    think: Annotated[bool | None, Field(description="Whether a model that can think does.")] = None
    schema_: Annotated[
        dict[str, Any] | None,
        BeforeValidator(_read),
        Field(alias="schema", description="JSON Schema that the answer must fit."),
    ] = None

    def request(self, images: tuple[Image, ...] = ()) -> ChatRequest:
        """The request with the pictures that were named."""
        user = Message.user(self.prompt, images)
        return ChatRequest(
            self.model,
            (Message.system(self.system), user) if self.system else (user,),
            Sampling(stop=self.stop, **{name: getattr(self, name) for name in _SAMPLED}),
            schema=self.schema_,
            think=self.think,
        )


_NAMES = tuple(field.alias or name for name, field in ChatValues.model_fields.items())

CHAT_TAKES = Takes(CHAT, _NAMES)
"""A chat as settings are laid over it."""


def chat_values(values: Mapping[str, Any]) -> ChatValues:
    """The values, checked. Raises InvalidParameter, which names the one that was refused."""
    try:
        return ChatValues.model_validate(dict(values))
    except ValidationError as failure:
        raise refused(failure, "chat", _NAMES) from None


def refuse_what_pictures_have(request: JobRequest) -> None:
    """Raises InvalidParameter for a style or a preset."""
    for name, given in (("style", request.style), ("preset", request.preset)):
        if given:
            raise InvalidParameter(name, f"A chat takes no {name}.", hint="Leave it out.")


def described_chat(models: Sequence[str]) -> dict[str, Any]:
    """Everything about a chat, as `describe` tells of a template; the model is one of ``models``, or chosen."""
    told = ChatValues.model_json_schema()
    parameters = [_described(name, told["properties"][name], name in told["required"]) for name in _NAMES]
    next(each for each in parameters if each["name"] == "model")["choices"] = ["auto", *models]
    return {**CHAT_LISTED, "shipped": True, "style": False, "parameters": parameters}


def _described(name: str, told: Mapping[str, Any], required: bool) -> dict[str, Any]:
    limits: Mapping[str, Any] = told["anyOf"][0] if "anyOf" in told else told
    return {
        "name": name,
        "type": _KINDS.get(name) or _TYPES.get(limits["type"], "text"),
        "label": _LABELS[name],
        "help": told["description"],
        "group": "",
        "advanced": name not in ("prompt", "model", "system", "image"),
        "required": required,
        "default": told.get("default") or None,
        "min": limits.get("minimum"),
        "max": limits.get("maximum"),
        "step": None,
        "choices": None,
    }
