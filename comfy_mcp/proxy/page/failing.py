"""Failures as a person is told them: a page of their own, or a piece of the page that asked for a piece."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.proxy.page.rendering import SECTIONS, document, part

__all__ = ["shown_failure"]

_OURS = frozenset({"sign-in", "sign-out", "enter", "look", *(section.path for section in SECTIONS)})
_NOT_SIGNED_IN = 401


def shown_failure(scope: Scope, record: ErrorRecord, status: int) -> Response | None:
    """The answer of the page to a request that ended so; None when it was not asked for the page."""
    if scope["type"] != "http" or not (scope["path"] == "/" or scope["path"].split("/")[1] in _OURS):
        return None
    request = Request(scope)
    if "hx-request" in request.headers:
        return part(request, "failed.html", status=status, record=record)
    if status == _NOT_SIGNED_IN and request.method == "GET":
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?to={quote(asked)}", 303, {"Cache-Control": "no-store"})
    return document(request, "failure.html", status=status, record=record)
