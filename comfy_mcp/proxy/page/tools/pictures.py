"""Pictures for cards: a template's own preview, and the newest that a person made with a template or in a style.

Owns how they are found. Thumbnails are the gallery's.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, Response

from comfy_mcp.errors import NotFound
from comfy_mcp.store import Sought
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template

__all__ = ["add_pictures", "newest_by_style", "newest_by_template", "preview_of", "small"]

_MOST_PREVIEW = 1_000_000
_PREVIEW = "preview.webp"


async def newest_by_template(workbench: Workbench, owner: str) -> dict[str, str]:
    """Where the newest picture is, small, that a person made with each template."""
    used = (await workbench.gallery.facets(owner)).templates
    return {name: at for name in used if (at := await _newest(workbench, owner, Sought(kind="image", template=name)))}


async def newest_by_style(workbench: Workbench, owner: str) -> dict[str, str]:
    """As `newest_by_template`, in each style."""
    used = (await workbench.gallery.facets(owner)).styles
    return {name: at for name in used if (at := await _newest(workbench, owner, Sought(kind="image", style=name)))}


async def _newest(workbench: Workbench, owner: str, sought: Sought) -> str | None:
    found = await workbench.gallery.find(owner, sought, limit=1)
    return small(found[0].asset.id) if found else None


async def preview_of(template: Template) -> str | None:
    """Where the picture is that came with the template, if there is one; another picture has another address."""
    changed = await to_thread.run_sync(_changed, template.folder / _PREVIEW)
    return None if changed is None else f"/tools/{quote(template.id)}/preview?v={changed}"


def small(asset: str) -> str:
    """Where the picture of this id is, small."""
    return f"/gallery/{quote(asset, safe='')}/thumbnail"


def add_pictures(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/tools/{template}/preview")
    async def preview(template: str) -> Response:
        data = await to_thread.run_sync(_read, workbench.catalogue.get(template).folder / _PREVIEW)
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=604800"})


def _changed(path: Path) -> int | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns if status.st_size <= _MOST_PREVIEW else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_PREVIEW + 1)
    except OSError:
        data = b""
    if len(data) > _MOST_PREVIEW or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise NotFound("This template has no preview.", hint="Put a preview.webp of at most 1 MB into its folder.")
    return data
