"""The one guard in front of every route, mounted app and socket: who calls, from where, and how much at once.

Owns the token, the Host and Origin rules, and the limits on headers, body and time. Knows no route but the public ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comfy_mcp.callers import Principal, with_principal
from comfy_mcp.errors import ErrorRecord
from comfy_mcp.proxy.failures import failure_body
from comfy_mcp.settings import is_loopback

__all__ = ["PUBLIC", "Guard", "Rules"]

PUBLIC = frozenset({"/healthz"})
"""Answered without a token: it says only whether the process works."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``hosts`` and ``origins`` are accepted besides loopback and the page's own origin; sizes are bytes."""

    token: str | None = None
    hosts: frozenset[str] = field(default_factory=frozenset[str])
    origins: frozenset[str] = field(default_factory=frozenset[str])
    max_body: int = 32 * 2**20
    max_header: int = 16 * 2**10
    receive_timeout: float = 30.0
    owner: Principal = field(default_factory=Principal)


class Guard:
    """ASGI middleware, outermost. ``is_signed_link`` recognises links that carry their own permission."""

    def __init__(self, app: ASGIApp, rules: Rules, is_signed_link: Callable[[Scope], bool]) -> None:
        self._app = app
        self._rules = rules
        self._is_signed_link = is_signed_link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        with_principal(scope, self._rules.owner)
        if scope["type"] == "http":
            await self._app(scope, self._bounded(receive), _hardened(send))
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers, rules = Headers(scope=scope), self._rules
        if sum(len(name) + len(value) for name, value in scope["headers"]) > rules.max_header:
            return _refuse(431, "too_large", "The headers are too large.")
        if not _host_allowed(headers.getlist("host"), rules.hosts):
            return _refuse(
                421, "wrong_host", "This server does not go by that name.", "Add it to WORKBENCH_ALLOWED_HOSTS."
            )
        if not _origin_allowed(headers.getlist("origin"), headers.get("host", ""), rules.origins):
            return _refuse(
                403, "wrong_origin", "That page may not call this server.", "Add it to WORKBENCH_ALLOWED_ORIGINS."
            )
        if not self._may_pass(scope, headers):
            refusal = _refuse(401, "token_missing", "A token is needed.", "Send Authorization: Bearer TOKEN.")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            return _refuse(400, "bad_request", "The Content-Length is not a number.")
        return _refuse(413, "too_large", self._too_large) if int(length) > rules.max_body else None

    def _may_pass(self, scope: Scope, headers: Headers) -> bool:
        token = self._rules.token
        if token is None or scope["path"] in PUBLIC or self._is_signed_link(scope):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Compared as bytes: compare_digest refuses text that is not ASCII.
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())

    @property
    def _too_large(self) -> str:
        return f"The body is larger than {self._rules.max_body} bytes."

    def _bounded(self, receive: Receive) -> Receive:
        """``receive`` that counts bytes and seconds until the request is whole; waiting afterwards is free."""
        deadline = anyio.current_time() + self._rules.receive_timeout
        size, whole = 0, False

        async def bounded() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()
            try:
                with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The request did not arrive in time.") from None
            size += len(message.get("body", b""))
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            if size > self._rules.max_body:
                raise HTTPException(413, self._too_large)
            return message

        return bounded


def _refuse(status: int, code: str, message: str, hint: str = "") -> JSONResponse:
    return JSONResponse(failure_body(ErrorRecord(code, message, hint), status), status)


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
        await send(message)

    return hardened


def _host_allowed(values: Sequence[str], allowed: frozenset[str]) -> bool:
    """Exactly one Host header, naming loopback at any port or a listed name: a page's own DNS name never is."""
    if len(values) != 1:
        return False
    host = values[0].lower()
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or host in allowed or f"{name}:*" in allowed


def _origin_allowed(values: Sequence[str], host: str, allowed: frozenset[str]) -> bool:
    """No Origin (no browser), our own, or a listed one. The Host was checked before, so "our own" is no wildcard."""
    if not values:
        return True
    if len(values) > 1:
        return False
    origin = values[0].lower()
    return origin in allowed or origin in (f"http://{host.lower()}", f"https://{host.lower()}")
