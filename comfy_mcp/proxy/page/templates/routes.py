"""The routes of this section: what there is, and templates one by one. Drafts have routes of their own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse

from comfy_mcp.errors import BadRequest, NotFound, WorkbenchError
from comfy_mcp.proxy.asking import Owner, fields_of, form_of
from comfy_mcp.proxy.page.rendering import document, words_of
from comfy_mcp.proxy.page.templates.drafting import DRAFTS, add_drafts
from comfy_mcp.proxy.page.templates.showing import cards_of, drawing_of, marks_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.authoring import Authoring
from comfy_mcp.workbench.shelving import preview_changed
from comfy_mcp.workflows import Lack, asks_for
from comfy_mcp.workflows.reading import read_file

__all__ = ["add_templates"]

_FILES = {"workflow.json": "application/json", "manifest.toml": "application/toml"}
_MOST_BYTES = 8 << 20
_SEEN = "default-src 'none'; sandbox"


def add_templates(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    authoring = workbench.authoring
    _add_listing(page, workbench, authoring)
    add_drafts(page, authoring)
    _add_looking(page, workbench, authoring)
    _add_changing(page, authoring)


def _add_listing(page: APIRouter, workbench: Workbench, authoring: Authoring) -> None:
    async def shown(request: Request, owner: str, failure: WorkbenchError | None = None) -> Response:
        infos, outage = await authoring.infos()
        return document(
            request,
            "templates/index.html",
            status=200 if failure is None else failure.status,
            cards=await cards_of(workbench.catalogue, authoring, infos),
            outage=outage,
            diagnostics=workbench.catalogue.diagnostics,
            drafts=await authoring.drafts(owner),
            failure=failure,
            missing=_missing(failure),
        )

    @page.get("/templates")
    async def show(request: Request, owner: Owner) -> Response:
        return await shown(request, owner)

    @page.post("/templates")
    async def import_file(request: Request, owner: Owner) -> Response:
        data, name = await _brought(request)
        try:
            draft = await authoring.import_file(data, name, owner)
        except WorkbenchError as failure:
            return await shown(request, owner, failure)
        return RedirectResponse(f"{DRAFTS}/{draft.id}", 303)


def _missing(failure: WorkbenchError | None) -> list[Lack]:
    """The node classes for want of which an import was refused."""
    names = failure.details.get("nodes", ()) if failure is not None else ()
    return [Lack.of_class(str(name)) for name in names]


async def _brought(request: Request) -> tuple[bytes, str]:
    """What was dropped, chosen or pasted, and what it is called."""
    async with form_of(request) as form:
        file, text = form.get("file"), form.get("text")
        if isinstance(file, UploadFile) and (data := await file.read()):
            return data, PurePosixPath(file.filename or "").stem[:100] or "workflow"
    if isinstance(text, str) and text.strip():
        return text.encode(errors="replace"), "workflow"
    raise BadRequest("There was nothing to import.", hint="Choose a file, or paste the workflow as JSON.")


def _add_looking(page: APIRouter, workbench: Workbench, authoring: Authoring) -> None:
    @page.get("/templates/{template}")
    async def look(
        request: Request, template: str, owner: Owner, saved: Annotated[str, Query(max_length=8)] = ""
    ) -> Response:
        found = workbench.catalogue.get(template)
        infos, outage = await authoring.infos()
        lacks = await authoring.lacks(found, infos)
        bad = {lack.node for lack in lacks}
        words = words_of(request)
        label = words("Graph of %(title)s", title=words(found.title))
        return document(
            request,
            "templates/template.html",
            template=found,
            drawing=await drawing_of(found.graph, label, marks_of(found.parameters), bad),
            lacks=lacks,
            asked=asks_for(found.graph, found.parameters),
            outage=outage,
            is_known=bool(infos),
            has_preview=await to_thread.run_sync(preview_changed, found.folder) is not None,
            pictures=() if found.shipped else await authoring.pictures(template, owner),
            saved=bool(saved),
        )

    @page.get("/templates/{template}/preview.webp")
    async def preview(template: str) -> Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _SEEN}
        return Response(await authoring.preview(template), media_type="image/webp", headers=headers)

    @page.get("/templates/{template}/files/{name}")
    async def file(template: str, name: str) -> Response:
        folder = workbench.catalogue.get(template).folder
        data = await to_thread.run_sync(read_file, folder / name, _MOST_BYTES) if name in _FILES else None
        if data is None:
            raise NotFound("There is no such file.", hint="There are workflow.json and manifest.toml.")
        saved_as = f'attachment; filename="{template}.{name}"'
        headers = {"Content-Disposition": saved_as, "Content-Security-Policy": _SEEN, "Cache-Control": "no-cache"}
        return Response(data, media_type=_FILES[name], headers=headers)


def _add_changing(page: APIRouter, authoring: Authoring) -> None:
    @page.post("/templates/{template}/draft")
    async def begin(template: str, owner: Owner) -> Response:
        draft = await authoring.begin(template, owner)
        return RedirectResponse(f"{DRAFTS}/{draft.id}", 303)

    @page.post("/templates/{template}/delete")
    async def delete(template: str) -> Response:
        await authoring.delete(template)
        return RedirectResponse("/templates", 303)

    @page.post("/templates/{template}/preview")
    async def choose(template: str, request: Request, owner: Owner) -> Response:
        await authoring.set_preview(template, (await fields_of(request)).get("asset", "")[:64], owner)
        return RedirectResponse(f"/templates/{template}", 303)
