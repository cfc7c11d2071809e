"""The routes of this section, by what they are about."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.page.gallery.browsing import add_browsing
from comfy_mcp.proxy.page.gallery.changing import add_changing
from comfy_mcp.proxy.page.gallery.comparing import add_comparing
from comfy_mcp.proxy.page.gallery.files import add_files
from comfy_mcp.proxy.page.gallery.sweeping import add_sweeping
from comfy_mcp.proxy.page.gallery.varying import add_varying
from comfy_mcp.proxy.page.gallery.viewing import add_viewing
from comfy_mcp.workbench import Workbench

__all__ = ["add_gallery"]


def add_gallery(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    # Viewing comes last: it takes whatever comes after /gallery/ for the id of a picture.
    for add in (add_browsing, add_comparing, add_sweeping, add_files, add_changing, add_varying, add_viewing):
        add(page, workbench)
