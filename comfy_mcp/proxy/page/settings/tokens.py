"""Tokens: who has one and what they may, making one, which is shown this once, and taking one back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.callers import OWN, Right, principal_of
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.proxy.asking import fields_of
from comfy_mcp.proxy.guard import SignedIn
from comfy_mcp.proxy.page.rendering import part
from comfy_mcp.proxy.page.settings.clients import address_of
from comfy_mcp.proxy.page.settings.tabs import ADMINISTRATOR, shown
from comfy_mcp.proxy.page.signing_in import keep_signed_in
from comfy_mcp.snippets import snippets_for
from comfy_mcp.ui import to_say
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token

__all__ = ["add_tokens"]

_PATH = "/settings/tokens"
_MOST = 2**31


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a right is good for, in a line."""

    right: Right
    title: str
    about: str


_RIGHTS = (
    _Meaning(Right.MAKE, to_say("Make"), to_say("Ask for pictures and texts, and see their own.")),
    _Meaning(
        Right.GRAPHS, to_say("Graphs"), to_say("Send ComfyUI graphs of their own, where the options allow those.")
    ),
    _Meaning(Right.USERS, to_say("Many users"), to_say("A chat that many share, and that says who asks.")),
    _Meaning(Right.ADMIN, to_say("Administrate"), to_say("Change settings, tokens and servers for everybody.")),
)


def add_tokens(page: APIRouter, workbench: Workbench, signed_in: SignedIn) -> None:
    """Add these routes to the page."""

    @page.get(_PATH, dependencies=[ADMINISTRATOR])
    async def show(request: Request) -> Response:
        return shown(request, "tokens", **await _listed(request, workbench))

    @page.post(_PATH)
    async def add(request: Request) -> Response:
        fields = await fields_of(request)
        first = not await workbench.tokens.demanded(workbench.settings)
        token = _first(fields) if first else _token(fields)
        given = await workbench.tokens.add(token)
        snippets = snippets_for(address_of(request, workbench.settings, token=given))
        context = await _listed(request, workbench)
        context |= {"made": token, "given": given, "snippets": snippets, "first": first}
        context |= {"own": token.name} if first else {}
        whole = "hx-request" not in request.headers
        answer = shown(request, "tokens", **context) if whole else _part(request, context)
        # Else the next click of whoever made it would be refused.
        cookie = await signed_in.cookie_for(given.encode()) if first else None
        return answer if cookie is None else keep_signed_in(answer, request, cookie)

    @page.post(_PATH + "/{name}/revoke")
    async def revoke(request: Request, name: str) -> Response:
        await workbench.tokens.revoke(name)
        if "hx-request" not in request.headers:
            return RedirectResponse(_PATH, 303)
        return _part(request, {**await _listed(request, workbench), "revoked": name})


def _part(request: Request, context: Mapping[str, Any]) -> Response:
    return part(request, "settings/_tokens.html", **context)


async def _listed(request: Request, workbench: Workbench) -> dict[str, Any]:
    tokens = await workbench.tokens.all()
    return {
        "tokens": tokens,
        "needed": await workbench.tokens.demanded(workbench.settings),
        "last": len(tokens) == 1 and workbench.settings.token is None,
        "own": principal_of(request.scope).name,
        "meanings": _RIGHTS,
        "limits": workbench.settings,
        "when": _when,
        "revoked": "",
        "made": None,
    }


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _first(fields: Mapping[str, str]) -> Token:
    """That of who makes it: their jobs stay theirs, and they may do what they could without one."""
    return Token(fields.get("name", "").strip(), OWN, frozenset({Right.MAKE, Right.GRAPHS, Right.ADMIN}))


def _token(fields: Mapping[str, str]) -> Token:
    rights = frozenset(right for right in Right if fields.get(f"right_{right}"))
    if not rights:
        raise InvalidParameter("rights", "A token without any right is good for nothing.", hint="Choose one or more.")
    return Token(
        fields.get("name", "").strip(),
        fields.get("owner", "").strip(),
        rights,
        _limit(fields, "rate", least=0),
        _limit(fields, "waiting", least=1),
    )


def _limit(fields: Mapping[str, str], name: str, *, least: int) -> int | None:
    """Raises InvalidParameter."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and least <= int(text) < _MOST):
        raise InvalidParameter(name, f"{name} is no number from {least} up.", hint="Leave it empty for the usual one.")
    return int(text)
