"""One picture with all that it was made from, and the small ones that stand for each elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from comfy_mcp import images
from comfy_mcp.proxy.asking import Owner
from comfy_mcp.proxy.page.gallery.filters import Filters
from comfy_mcp.proxy.page.gallery.recipes import recipe_of
from comfy_mcp.proxy.page.gallery.titles import title_of
from comfy_mcp.proxy.page.gallery.varying import variable
from comfy_mcp.proxy.page.rendering import document, words_of
from comfy_mcp.workbench import Workbench

__all__ = ["add_viewing"]

_NOT_MODIFIED = 304


def add_viewing(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    gallery = workbench.gallery

    @page.get("/gallery/{asset}")
    async def picture(asset: str, request: Request, owner: Owner) -> Response:
        filters = Filters.of(request.query_params)
        found, job = await gallery.picture(asset, owner)
        template = None if job is None else workbench.catalogue.templates.get(job.template)
        is_image = found.asset.mime.startswith("image/")
        takers = [each for each in workbench.catalogue.templates.values() if each.pictures] if is_image else []
        return document(
            request,
            "gallery/picture.html",
            found=found,
            job=job,
            template=template,
            title=None if job is None else title_of(job.template, workbench, words_of(request)),
            recipe=recipe_of(job, template),
            beside=await gallery.beside(asset, owner, filters.sought),
            filters=filters,
            takers=takers,
            can_strip=images.can_strip(found.asset.mime),
            variable=variable(job, template, workbench) if is_image else {},
        )

    @page.get("/gallery/{asset}/thumbnail")
    async def thumbnail(asset: str, request: Request, owner: Owner) -> Response:
        found = await workbench.asset(asset, owner)
        headers = {
            "ETag": f'"{found.sha256}"',
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(await gallery.thumbnail(found), media_type="image/webp", headers=headers)
