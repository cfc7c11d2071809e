"""The routes of this section. Every handler is a few lines over the workbench."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from comfy_mcp.proxy.guard import SignedIn
from comfy_mcp.proxy.page.settings.backends import add_backends
from comfy_mcp.proxy.page.settings.choosing import add_options
from comfy_mcp.proxy.page.settings.clients import add_clients
from comfy_mcp.proxy.page.settings.examining import add_doctor
from comfy_mcp.proxy.page.settings.programs import add_programs
from comfy_mcp.proxy.page.settings.tabs import shown
from comfy_mcp.proxy.page.settings.tokens import add_tokens
from comfy_mcp.workbench import Workbench

__all__ = ["add_settings"]


def add_settings(page: APIRouter, workbench: Workbench, signed_in: SignedIn) -> None:
    """Add these routes to the page."""

    @page.get("/settings")
    async def show(request: Request) -> Response:
        return shown(request, "index", members=await workbench.backends(), dispatching=workbench.dispatching)

    for add in (add_backends, add_clients, add_options, add_doctor, add_programs):
        add(page, workbench)
    add_tokens(page, workbench, signed_in)
