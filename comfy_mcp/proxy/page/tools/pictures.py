"""Pictures for cards: a template's own preview, and the newest that a person made with a template or in a style.

Owns how they are found. Thumbnails are the gallery's.
"""

from __future__ import annotations

from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Response

from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.shelving import preview_changed
from comfy_mcp.workflows import Template

__all__ = ["add_pictures", "newest_by_style", "newest_by_template", "preview_of", "small"]


async def newest_by_template(workbench: Workbench, owner: str) -> dict[str, str]:
    """Where the newest picture is, small, that a person made with each template."""
    return {name: small(asset) for name, asset in (await workbench.gallery.newest(owner, "template")).items()}


async def newest_by_style(workbench: Workbench, owner: str) -> dict[str, str]:
    """As `newest_by_template`, in each style."""
    return {name: small(asset) for name, asset in (await workbench.gallery.newest(owner, "style")).items()}


async def preview_of(template: Template) -> str | None:
    """Where the picture is that came with the template, if there is one; another picture has another address."""
    changed = await to_thread.run_sync(preview_changed, template.folder)
    return None if changed is None else f"/tools/{quote(template.id)}/preview?v={changed}"


def small(asset: str) -> str:
    """Where the picture of this id is, small."""
    return f"/gallery/{quote(asset, safe='')}/thumbnail"


def add_pictures(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/tools/{template}/preview")
    async def preview(template: str) -> Response:
        data = await workbench.authoring.preview(template)
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=604800"})
