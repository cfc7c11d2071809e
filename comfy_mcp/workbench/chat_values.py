"""A chat asked for like a template: `{"template": "chat", "values": {"model", "prompt", …}}` as a request.

Owns the names and ranges of these values, for REST and the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from comfy_mcp.errors import InvalidParameter, nearest
from llm_bridge.chat import ChatRequest, Sampling
from llm_bridge.messages import Image, Message

__all__ = ["CHAT_PICTURES", "ChatValues", "chat_values"]

CHAT_PICTURES = ("image",)
"""The values that name a picture."""

_SAMPLED = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens")


class ChatValues(BaseModel):
    """What a chat takes; texts of numbers are taken for numbers, as a command line gives them."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=256)] = "auto"
    prompt: Annotated[str, Field(min_length=1)]
    system: str = ""
    image: Annotated[str | None, Field(max_length=64)] = None
    temperature: Annotated[float | None, Field(ge=0, le=5)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=0, le=100_000)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**53)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    stop: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    think: bool | None = None
    schema_: Annotated[dict[str, Any] | Json[dict[str, Any]] | None, Field(alias="schema")] = None

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


def chat_values(values: Mapping[str, Any]) -> ChatValues:
    """The values, checked. Raises InvalidParameter, which names the one that was refused."""
    try:
        return ChatValues.model_validate(dict(values))
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            known = [field.alias or name for name, field in ChatValues.model_fields.items()]
            alike = nearest(name[:64], known) or known
            raise InvalidParameter(
                name[:64], f"A chat has no parameter {name[:64]!r}.", hint=f"Nearest: {', '.join(alike)}."
            ) from None
        raise InvalidParameter(name, f"{name}: {first['msg']}.", hint="Mend it, or leave it out.") from None
