"""Templates to answers: in the reader's language and colours, with what every page shows around its content.

Owns the policy that a browser holds our pages to: nothing inline, nothing from elsewhere. Used by every section.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from comfy_mcp.callers import Right, principal_of
from comfy_mcp.proxy.page.static import address
from comfy_mcp.ui import LANGUAGES, Words, environment, to_say, words_in

__all__ = [
    "COOKIE_LANGUAGE",
    "COOKIE_THEME",
    "SECTIONS",
    "THEMES",
    "Section",
    "document",
    "language_of",
    "part",
    "words_of",
]

COOKIE_LANGUAGE, COOKIE_THEME = "workbench_language", "workbench_theme"
THEMES = ("dark", "light")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
    # With no referrer at all, forms are sent with the Origin "null", which the guard refuses.
    "Referrer-Policy": "same-origin",
}
_MOST_ACCEPTED = 16
_PACKED_FROM = 1024


@dataclass(frozen=True, slots=True)
class Section:
    """A link in the bar: ``path`` is also the name of its icon."""

    path: str
    title: str


SECTIONS = (
    Section("tools", to_say("Tools")),
    Section("queue", to_say("Queue")),
    Section("gallery", to_say("Gallery")),
    Section("compare", to_say("Compare")),
    Section("templates", to_say("Templates")),
    Section("settings", to_say("Settings")),
)


def document(request: Request, name: str, /, *, status: int = 200, **context: Any) -> Response:
    """A whole page, from the template ``name`` that extends ``base.html``."""
    path = request.url.path
    signed_in = principal_of(request.scope).rights
    shown: dict[str, Any] = {
        "section": path.split("/")[1],
        "sections": SECTIONS if signed_in else (),
        "here": path + (f"?{request.url.query}" if request.url.query else ""),
        "languages": LANGUAGES,
        "theme": _theme(request),
    }
    return part(request, name, status=status, **{**shown, **context})


def part(
    request: Request, name: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> Response:
    """A piece of a page, as htmx asks for it. Every template has ``static``, ``rights`` and ``signed_in``."""
    language = language_of(request)
    template = environment(language, "comfy_mcp.proxy.page").get_template(name)
    principal = principal_of(request.scope)
    text = template.render(
        static=address,
        rights=frozenset(str(right) for right in principal.rights),
        is_admin=Right.ADMIN in principal.rights,
        signed_in=principal.by_cookie,
        **context,
    )
    told = {**_HEADERS, "Content-Language": language, **(headers or {})}
    data = text.encode()
    if len(data) >= _PACKED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        told["Content-Encoding"] = "gzip"
        data = gzip.compress(data, 1, mtime=0)
    return HTMLResponse(data, status, told)


def words_of(request: Request) -> Words:
    """The words of the reader's language, for texts that are made here."""
    return words_in(language_of(request))


def language_of(request: Request) -> str:
    """What the reader chose, or the first of the browser's languages that there is."""
    if (chosen := request.cookies.get(COOKIE_LANGUAGE)) in LANGUAGES:
        return str(chosen)
    accepted = request.headers.get("accept-language", "").split(",")[:_MOST_ACCEPTED]
    told = (each.partition(";")[0].partition("-")[0].strip().lower() for each in accepted)
    return next((language for language in told if language in LANGUAGES), next(iter(LANGUAGES)))


def _theme(request: Request) -> str:
    chosen = request.cookies.get(COOKIE_THEME, "")
    return chosen if chosen in THEMES else ""
