"""The routes of this section. Every handler is a few lines over the workbench."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from comfy_mcp.proxy.page.rendering import document
from comfy_mcp.workbench import Workbench

__all__ = ["add_templates"]


def add_templates(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/templates")
    async def show(request: Request) -> Response:
        return document(request, "templates/index.html")
