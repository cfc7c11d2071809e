"""The routes of the page: its sections, its files, and coming and going."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.proxy.page.compare import add_compare
from comfy_mcp.proxy.page.gallery import add_gallery
from comfy_mcp.proxy.page.queue import add_queue
from comfy_mcp.proxy.page.rendering import SECTIONS
from comfy_mcp.proxy.page.settings import add_settings
from comfy_mcp.proxy.page.signing_in import Entrance, add_signing_in
from comfy_mcp.proxy.page.static import PREFIX, static_response
from comfy_mcp.proxy.page.templates import add_templates
from comfy_mcp.proxy.page.tools import add_tools
from comfy_mcp.workbench import Workbench

__all__ = ["router"]


def router(workbench: Workbench, entrance: Entrance) -> APIRouter:
    """The routes over one workbench."""
    page = APIRouter(include_in_schema=False)

    @page.get("/")
    async def start() -> Response:
        return RedirectResponse(f"/{SECTIONS[0].path}", 303)

    @page.get(PREFIX + "{name}")
    async def static(name: str, request: Request) -> Response:
        return await static_response(name, request)

    for add in (add_tools, add_queue, add_gallery, add_compare, add_templates):
        add(page, workbench)
    add_settings(page, workbench, entrance.signed_in)
    add_signing_in(page, entrance)
    return page
