"""A message as the bridge has it: who says what, with which pictures. Every dialect converts from and to this.

Owns no wire format (`shapes`, `providers`) and no history (`conversation`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from llm_bridge.errors import BadInput

__all__ = ["Image", "Message", "Part", "Role", "ToolCall"]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Image:
    """An encoded picture (PNG, JPEG, WebP or GIF) that goes to the model as it is."""

    data: bytes = field(repr=False)
    mime: str = "image/png"

    @classmethod
    def of(cls, data: bytes) -> Image:
        """Of the type that the first bytes tell. Raises BadInput when that is none of the four."""
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return cls(data, "image/png")
        if data.startswith(b"\xff\xd8\xff"):
            return cls(data, "image/jpeg")
        if data.startswith((b"GIF87a", b"GIF89a")):
            return cls(data, "image/gif")
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return cls(data, "image/webp")
        raise BadInput("It is no PNG, JPEG, WebP or GIF.", hint="Convert the picture first.")

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """As a data URL."""
        return f"data:{self.mime};base64,{self.base64}"


Part = str | Image
"""A piece of what is said, in its order."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. ``arguments`` is the JSON text as the model wrote it, which may be no JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``answers`` is the id of the tool call that a message of role tool answers.

    ``name`` says who of several users or agents speaks. ``reasoning`` is what the model thought before it answered.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    answers: str | None = None
    name: str | None = None

    @classmethod
    def system(cls, text: str) -> Message:
        return cls("system", (text,))

    @classmethod
    def user(cls, text: str, images: Iterable[Image] = ()) -> Message:
        """What the user says; the pictures stand before the text, as vision models expect them."""
        return cls("user", (*images, text))

    @classmethod
    def assistant(cls, text: str) -> Message:
        return cls("assistant", (text,))

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))
