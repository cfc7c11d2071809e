"""What is refused whoever asks: headers beyond measure, an unclear length, a strange Host, a strange page.

Owns these checks and the limits of a body while it arrives. Used by the guard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from comfy_mcp.proxy.guard.access import SOCKET, right_of
from comfy_mcp.proxy.guard.answers import Refusal, refused
from comfy_mcp.proxy.guard.rules import Rules, patience
from comfy_mcp.settings import is_loopback

__all__ = ["bounded", "refusal_of"]

_MOST_HEADERS = 100
_MOST_PUBLIC = 64 * 2**10
_HOST = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)


def refusal_of(scope: Scope, rules: Rules) -> Refusal | None:
    """The refusal of a request by what stands in its headers, before anybody asks who sent it."""
    raw, headers = scope["headers"], Headers(scope=scope)
    if len(raw) > _MOST_HEADERS or sum(len(name) + len(value) for name, value in raw) > rules.max_header:
        return refused(431, "too_large", "The headers are too large.")
    if not _host_allowed(headers.getlist("host"), rules.hosts):
        message = "This server does not go by that name."
        return refused(421, "wrong_host", message, "Add it to WORKBENCH_ALLOWED_HOSTS.")
    if not _origin_allowed(headers.getlist("origin"), headers["host"], rules.origins):
        message = "That page may not call this server."
        return refused(403, "wrong_origin", message, "Add it to WORKBENCH_ALLOWED_ORIGINS.")
    return _unclear(headers) or _too_long(headers, _most_bytes(scope, rules))


def bounded(scope: Scope, receive: Receive, rules: Rules) -> Receive:
    """``receive`` that counts bytes and seconds until the request is whole; waiting afterwards is free."""
    most = _most_bytes(scope, rules)
    deadline = anyio.current_time() + patience(rules.receive_timeout)
    size, whole = 0, False

    async def counted() -> Message:
        nonlocal size, whole
        if whole:
            return await receive()
        try:
            with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "The request did not arrive in time.", {"Connection": "close"}) from None
        size += len(message.get("body", b""))
        whole = message["type"] != "http.request" or not message.get("more_body", False)
        if size > most:
            raise HTTPException(413, _over(most))
        return message

    return counted


def _unclear(headers: Headers) -> Refusal | None:
    """Where a request ends must be told once: what stands in front of us may read it the other way (smuggling)."""
    lengths = headers.getlist("content-length")
    if len(lengths) > 1 or (lengths and "transfer-encoding" in headers):
        return refused(400, "bad_request", "The length of the body is told twice.", connection="close")
    if any(not (length.isascii() and length.isdecimal()) for length in lengths):
        return refused(400, "bad_request", "The Content-Length is not a number.", connection="close")
    return None


def _most_bytes(scope: Scope, rules: Rules) -> int:
    """How large the body may be: from those whom nobody knows a short form, since reading it is work."""
    public = right_of(scope.get("method", SOCKET), scope["path"]) is None
    return min(rules.max_body, _MOST_PUBLIC) if public else rules.max_body


def _too_long(headers: Headers, most: int) -> Refusal | None:
    # Digits without end would be slow to read as a number.
    told = headers.get("content-length", "0").lstrip("0")
    if len(told) > len(str(most)) or int(told or "0") > most:
        return refused(413, "too_large", _over(most))
    return None


def _over(most: int) -> str:
    return f"The body is larger than {most} bytes."


def _host_allowed(values: Sequence[str], allowed: frozenset[str]) -> bool:
    """Exactly one Host header, naming loopback at any port or a listed name: a page's own DNS name never is."""
    if len(values) != 1 or (parts := _HOST.fullmatch(values[0].lower())) is None:
        return False
    host, name = parts.group(0), parts.group(1).strip("[]")
    return is_loopback(name) or host in allowed or f"{name}:*" in allowed


def _origin_allowed(values: Sequence[str], host: str, allowed: frozenset[str]) -> bool:
    """No Origin (no browser), our own, or a listed one. The Host was checked before, so "our own" is no wildcard."""
    if not values:
        return True
    if len(values) > 1:
        return False
    origin = values[0].lower()
    return origin in allowed or origin in (f"http://{host.lower()}", f"https://{host.lower()}")
