"""The routes of this section. Every handler is a few lines over the workbench."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse
from starlette.responses import RedirectResponse

from comfy_mcp.errors import BadRequest
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.queue.events import FIRST, events
from comfy_mcp.proxy.page.queue.shown import LISTS, Reader
from comfy_mcp.proxy.page.rendering import document, words_of
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench

__all__ = ["add_queue"]

_MODES = {"pause": Mode.PAUSED, "drain": Mode.DRAINING, "resume": Mode.ACTIVE}


def add_queue(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/queue")
    async def show(request: Request) -> Response:
        reader = Reader(workbench, request)
        shown = await reader.look()
        drawn = {name: await reader.drawn(name, list(shown.lists[name])[:FIRST], shown) for name in LISTS}
        more = len(shown.lists["waiting"]) - len(drawn["waiting"])
        return document(request, "queue/index.html", drawn=drawn, texts=shown.texts, more=more)

    @page.get("/queue/events")
    async def follow(request: Request) -> EventSourceResponse:
        return EventSourceResponse(events(workbench, Reader(workbench, request)))

    _add_changes(page, workbench)

    @page.post("/queue/backends")
    async def order(request: Request) -> Response:
        fields = await fields_of(request)
        mode = _MODES.get(fields.get("order", ""))
        if mode is None:
            raise BadRequest("There is no such order.", hint="Pause, drain or resume.")
        every = [member.name for member in await workbench.backends()]
        for name in [fields["backend"]] if "backend" in fields else every:
            await workbench.set_mode(name, mode)
        return _done(request)


def _add_changes(page: APIRouter, workbench: Workbench) -> None:
    """What a person may do to their own jobs, and an administrator to all."""

    @page.post("/queue/cancel")
    async def cancel(request: Request) -> Response:
        job = (await fields_of(request)).get("job", "")
        await workbench.cancel(job, Reader(workbench, request).sees)
        return _done(request, words_of(request)("Cancelled"))

    @page.post("/queue/clear")
    async def clear(request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        await workbench.line.clear(owner, running="running" in fields)
        return _done(request, words_of(request)("Cancelled"))

    @page.post("/queue/again")
    async def again(request: Request) -> Response:
        job = (await fields_of(request)).get("job", "")
        reader = Reader(workbench, request)
        await workbench.line.again(job, reader.sees, graphs=reader.sends_graphs)
        return _done(request, words_of(request)("It waits again."))

    @page.post("/queue/move")
    async def move(request: Request) -> Response:
        fields = await fields_of(request)
        await workbench.line.move(fields.get("job", ""), Reader(workbench, request).sees, fields.get("to", ""))
        return _done(request)

    @page.post("/queue/priority")
    async def priority(request: Request) -> Response:
        fields = await fields_of(request)
        told = fields.get("priority", "")
        if not told.removeprefix("-").isdecimal() or len(told) > len("-10"):
            raise BadRequest("The priority is no number.", hint="Give -10 (last) to 10 (first).")
        await workbench.line.set_priority(fields.get("job", ""), Reader(workbench, request).sees, int(told))
        return _done(request)


def _done(request: Request, told: str = "") -> Response:
    """Nothing more to show where a script follows the queue, which hears what was ``told``; else the queue as it is."""
    if "hx-request" in request.headers:
        headers = {"HX-Trigger": json.dumps({"queue:told": told})} if told else {}
        return Response(status_code=204, headers=headers)
    return RedirectResponse("/queue", 303)
