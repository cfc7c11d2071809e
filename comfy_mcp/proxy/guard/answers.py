"""What the guard refuses with, and the headers that every answer gets.

Owns their values. Which request is refused, and why, is elsewhere; the words are those of the front door it asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from comfy_mcp.errors import ErrorRecord

__all__ = ["Refusal", "hardened", "refused"]

_STARTS = ("http.response.start", "websocket.http.response.start")
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in."""

    record: ErrorRecord
    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])


def refused(status: int, code: str, message: str, hint: str = "", **headers: str) -> Refusal:
    """A refusal; of the names of ``headers`` an underscore is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(ErrorRecord(code, message, hint), status, named)


def hardened(send: Send, *, embeddable: bool) -> Send:
    """``send`` that adds the headers where the answer says nothing else; ``embeddable`` for pages of other origins."""
    own = {**_ALWAYS, "Cross-Origin-Resource-Policy": "cross-origin" if embeddable else "same-origin"}

    async def harder(message: Message) -> None:
        await send({**message, "headers": _filled(message, own)} if message["type"] in _STARTS else message)

    return harder


def _filled(message: Message, own: dict[str, str]) -> list[Any]:
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    for name, value in own.items():
        headers.setdefault(name, value)
    if headers.get("content-type", "").startswith("application/json"):
        headers.setdefault("Cache-Control", "no-store")
    return headers.raw
