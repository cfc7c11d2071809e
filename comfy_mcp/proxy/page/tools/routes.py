"""The routes of this section, by what they are about."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.page.tools.copy_routes import add_copying
from comfy_mcp.proxy.page.tools.locks import add_locks
from comfy_mcp.proxy.page.tools.pictures import add_pictures
from comfy_mcp.proxy.page.tools.presets import add_presets
from comfy_mcp.proxy.page.tools.running import add_running
from comfy_mcp.proxy.page.tools.showing import add_showing
from comfy_mcp.workbench import Workbench

__all__ = ["add_tools"]


def add_tools(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    for add in (add_pictures, add_showing, add_running, add_presets, add_locks, add_copying):
        add(page, workbench)
