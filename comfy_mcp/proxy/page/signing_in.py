"""Coming and going: signing in with a token, coming by a link that a chat gave, and how the page shall look."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.errors import BadRequest
from comfy_mcp.proxy.asking import fields_of
from comfy_mcp.proxy.guard import COOKIE, SIGNED_IN_SECONDS, Identity, SignedIn, Visit
from comfy_mcp.proxy.page.rendering import COOKIE_LANGUAGE, COOKIE_THEME, THEMES, document, words_of
from comfy_mcp.ui import LANGUAGES

__all__ = ["Entrance", "add_signing_in", "keep_signed_in"]

_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]{0,512}")
_YEAR = 365 * 24 * 3600
_LONGEST_TOKEN = 512


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who may come in, and how they are known again."""

    signed_in: SignedIn
    identity: Identity


def add_signing_in(page: APIRouter, entrance: Entrance) -> None:
    """Add these routes to the page."""

    @page.get("/sign-in")
    async def ask(request: Request, to: str = "/") -> Response:
        return document(request, "sign_in.html", to=_path(to), problem="")

    @page.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        fields = await fields_of(request)
        to, token = _path(fields.get("to", "/")), fields.get("token", "").strip()
        cookie = await entrance.signed_in.cookie_for(token.encode()) if token and len(token) <= _LONGEST_TOKEN else None
        if cookie is None:
            problem = words_of(request)("This token is not known here.")
            return document(request, "sign_in.html", status=403, to=to, problem=problem)
        return _with_cookie(request, to, cookie, SIGNED_IN_SECONDS)

    @page.post("/sign-out")
    async def sign_out() -> Response:
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return response

    @page.get("/enter/{signature}")
    async def enter(request: Request, signature: str) -> Response:
        visit = await _visit(entrance, signature)
        here = await entrance.identity.of(request.headers)
        if here is None:
            return _with_cookie(request, _path(visit.path), signature, None)
        if here.owner == visit.owner:
            # They are in already, perhaps with more rights than the link gives.
            return RedirectResponse(_path(visit.path), 303, {"Cache-Control": "no-store"})
        # Somebody else's link must not take the place of who is in without a word.
        return document(request, "enter.html", signature=signature, owner=visit.owner, me=here.owner)

    @page.post("/enter/{signature}")
    async def enter_as(request: Request, signature: str) -> Response:
        visit = await _visit(entrance, signature)
        return _with_cookie(request, _path(visit.path), signature, None)

    @page.post("/look")
    async def look(request: Request) -> Response:
        fields = await fields_of(request)
        response = RedirectResponse(_path(fields.get("to", "/")), 303)
        for name, cookie, known in (("language", COOKIE_LANGUAGE, LANGUAGES), ("theme", COOKIE_THEME, THEMES)):
            if (chosen := fields.get(name)) in known:
                response.set_cookie(cookie, str(chosen), max_age=_YEAR, samesite="strict", httponly=True)
        return response


async def _visit(entrance: Entrance, signature: str) -> Visit:
    visit = await entrance.signed_in.visit(signature)
    if visit is None:
        raise BadRequest("This link is no longer good.", hint="Ask in the chat for a new one.")
    return visit


def _with_cookie(request: Request, to: str, cookie: str, seconds: int | None) -> Response:
    return keep_signed_in(RedirectResponse(to, 303, {"Cache-Control": "no-store"}), request, cookie, seconds)


def keep_signed_in(
    response: Response, request: Request, cookie: str, seconds: int | None = SIGNED_IN_SECONDS
) -> Response:
    """The same answer, with the cookie of who is signed in from now on; None for as long as the browser is open."""
    # Lax, so that a link in a chat finds a person signed in; what changes anything must come from a page of ours.
    # Behind a proxy only the browser's own word tells that it came over HTTPS.
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(COOKIE, cookie, max_age=seconds, httponly=True, samesite="lax", secure=secure)
    return response


def _path(told: str) -> str:
    """A path of this page, and never another site's address."""
    return told if _PATH.fullmatch(told) else "/"
