"""Taking along: one file without its metadata, or several as a ZIP. As it is, `/api/v1/assets` has each."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from comfy_mcp import images
from comfy_mcp.errors import TooLarge
from comfy_mcp.jobs import Asset
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.gallery.archive import archived
from comfy_mcp.proxy.page.gallery.changing import picked
from comfy_mcp.workbench import Workbench

__all__ = ["add_files"]

_MOST_BYTES = 2 * 2**30
_SUFFIXES = {"image/png": ".png", "image/webp": ".webp", "image/jpeg": ".jpg", "image/gif": ".gif"}


def add_files(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/gallery/{asset}/bare")
    async def bare(asset: str, owner: Owner) -> Response:
        found = await workbench.asset(asset, owner)
        name, data = await _bare(workbench, found)
        return Response(data, media_type="application/octet-stream", headers=_saved_as(name))

    @page.post("/gallery/download")
    async def download(request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        assets = [each.asset for each in await picked(fields, workbench, owner)]
        if sum(asset.size for asset in assets) > _MOST_BYTES:
            raise TooLarge("Together the files are larger than 2 GB.", hint="Take fewer at a time.")
        load = partial(_bare if "bare" in fields else _whole, workbench)
        files = [(asset.name, partial(load, asset)) for asset in assets]
        return StreamingResponse(archived(files), media_type="application/zip", headers=_saved_as("pictures.zip"))


async def _whole(workbench: Workbench, asset: Asset) -> tuple[str, bytes]:
    return asset.name, await workbench.read(asset)


async def _bare(workbench: Workbench, asset: Asset) -> tuple[str, bytes]:
    data, mime = await images.stripped(await workbench.read(asset))
    return PurePath(asset.name).stem + _SUFFIXES[mime], data


def _saved_as(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
