"""The grid of thumbnails: found by what they were made from, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.callers import Right
from comfy_mcp.proxy.asking import Owner, asker_of
from comfy_mcp.proxy.page.gallery.filters import KINDS, SOURCES, Filters
from comfy_mcp.proxy.page.gallery.titles import titles_of
from comfy_mcp.proxy.page.rendering import document, part, words_of
from comfy_mcp.store import Found
from comfy_mcp.workbench import Workbench

__all__ = ["add_browsing"]

_PAGE = 60


def add_browsing(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    gallery = workbench.gallery

    @page.get("/gallery")
    async def index(request: Request, owner: Owner, before: str | None = None, job: str | None = None) -> Response:
        if job is not None and (made := (await workbench.job(job, owner)).assets):
            return RedirectResponse(f"/gallery/{made[0].id}", 303)
        filters = Filters.of(request.query_params)
        found = await gallery.find(owner, filters.sought, limit=_PAGE + 1, before=before)
        everybody = Right.ADMIN in asker_of(request).rights
        return document(
            request,
            "gallery/index.html",
            **_shown(found, filters),
            facets=await gallery.facets(owner),
            kinds=KINDS,
            sources=SOURCES,
            titles=titles_of(workbench, words_of(request)),
            usage=await gallery.usage(owner),
            usage_of_all=await gallery.usage() if everybody else None,
            retention=workbench.settings.retention,
            gone=request.query_params.get("gone", "")[:6],
        )

    @page.get("/gallery/more")
    async def more(request: Request, owner: Owner, before: str) -> Response:
        filters = Filters.of(request.query_params)
        found = await gallery.find(owner, filters.sought, limit=_PAGE + 1, before=before)
        return part(request, "gallery/_tiles.html", **_shown(found, filters))


def _shown(found: Sequence[Found], filters: Filters) -> dict[str, Any]:
    """One more than a page was asked for: whether there are more is told by that."""
    return {"pictures": found[:_PAGE], "more": len(found) > _PAGE, "filters": filters}
