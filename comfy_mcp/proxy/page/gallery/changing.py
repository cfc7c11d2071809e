"""Changing: pictures marked, deleted after a question, and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.errors import BadRequest, InvalidParameter, NotFound
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.gallery.filters import Filters
from comfy_mcp.proxy.page.rendering import document, part
from comfy_mcp.store import Found
from comfy_mcp.workbench import Workbench

__all__ = ["MOST_PICKED", "PICK", "add_changing", "picked"]

PICK = "pick-"
"""What the name of a picture's box begins with, before its id."""

MOST_PICKED = 200


async def picked(fields: Mapping[str, str], workbench: Workbench, owner: str) -> list[Found]:
    """The pictures that somebody picked and has. Raises BadRequest for none or too many, NotFound when none is left."""
    names = [name.removeprefix(PICK) for name in fields if name.startswith(PICK)]
    if not 0 < len(names) <= MOST_PICKED:
        raise BadRequest("No picture was picked, or too many.", hint=f"Tick between 1 and {MOST_PICKED} pictures.")
    found: list[Found] = []
    for name in names:
        try:
            found.append((await workbench.gallery.picture(name, owner))[0])
        except NotFound:
            continue
    if not found:
        raise NotFound("These pictures are not there any more.", hint="Reload the gallery.")
    return found


def add_changing(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.post("/gallery/delete")
    async def delete(request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        filters = Filters.of(fields)
        found = await picked(fields, workbench, owner)
        if "sure" not in fields:
            return document(request, "gallery/delete.html", pictures=found, filters=filters)
        count = await workbench.gallery.delete([each.asset.id for each in found], owner)
        return RedirectResponse(f"/gallery{filters.query(gone=str(count))}", 303)

    @page.post("/gallery/retention")
    async def retention(request: Request) -> Response:
        text = (await fields_of(request)).get("days", "").strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise InvalidParameter(
                "days", "That is no number of days.", hint="Give a whole number; 0 keeps them for ever."
            )
        await workbench.change_settings({"retention": int(text)})
        return part(request, "gallery/_retention.html", retention=workbench.settings.retention, saved=True)

    @page.post("/gallery/{asset}/keep")
    async def keep(asset: str, request: Request, owner: Owner) -> Response:
        kept = (await fields_of(request)).get("kept") == "1"
        await workbench.gallery.mark(asset, owner, kept)
        if "hx-request" not in request.headers:
            return RedirectResponse(f"/gallery/{asset}", 303)
        return part(request, "gallery/_keep.html", id=asset, kept=kept)
