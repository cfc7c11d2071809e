"""Running what the form says: the job, its panel while it goes on and when it has ended, and the runs before it.

Owns these routes and the addresses by which a run is found again. What is said of a run that goes on is in live.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse
from starlette.responses import RedirectResponse

from comfy_mcp.errors import NotFound, WorkbenchError
from comfy_mcp.jobs import FILE, Job, JobRequest, JobState
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.rendering import part, words_of
from comfy_mcp.proxy.page.tools.live import events_of, said_of
from comfy_mcp.proxy.page.tools.pictures import small
from comfy_mcp.proxy.page.tools.reading import ACTIVE_PRESET, preset_said, read_form, request_of
from comfy_mcp.texts import CHAT
from comfy_mcp.ui import to_say
from comfy_mcp.workbench import Workbench

__all__ = ["add_running", "panel_of", "runs_of"]

_LOOKED_THROUGH = 100
_MOST_RUNS = 8
_NOT_TOLD = frozenset({FILE, "reply"})
"""Outputs that are no text for people."""

_STATES = {
    JobState.QUEUED: to_say("waits"),
    JobState.RUNNING: to_say("runs"),
    JobState.SUCCEEDED: to_say("done"),
    JobState.FAILED: to_say("failed"),
}
"""The runs that are listed: of one that was stopped or given up there is nothing to see."""

_ICONS = {
    JobState.QUEUED: "pause",
    JobState.RUNNING: "play",
    JobState.SUCCEEDED: "check",
    JobState.FAILED: "warning",
}


def add_running(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    async def result(job: Job, request: Request, owner: str, headers: Mapping[str, str] | None = None) -> Response:
        told = {**await panel_of(workbench, job, request), **await runs_of(workbench, job, owner)}
        return part(request, "tools/_result.html", headers=headers, **told)

    @page.post("/tools/{template}/run")
    async def run(template: str, request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        try:
            asked = request_of(await read_form(workbench, template, fields), owner)
            job = await workbench.submit(asked)
        except WorkbenchError as failure:
            if (response := _beside_its_field(request, fields, failure)) is not None:
                return response
            raise
        named = await preset_said(workbench, template, owner, fields[ACTIVE_PRESET]) if ACTIVE_PRESET in fields else {}
        address = _address(asked, job, named)
        if "hx-request" not in request.headers:
            return RedirectResponse(address, 303)
        return await result(job, request, owner, {"HX-Push-Url": address})

    @page.get("/tools/{template}/runs")
    async def strip(template: str, request: Request, owner: Owner, shown: str = "") -> Response:
        """The runs as they are now, while some of them go on."""
        told = await runs_of(workbench, None, owner, template)
        told["shown"] = shown[:64]
        return part(request, "tools/_strip.html", **told)

    @page.get("/tools/{template}/runs/{job}")
    async def panel(template: str, job: str, request: Request, owner: Owner) -> Response:
        found = await _job(workbench, template, job, owner)
        return await result(found, request, owner)

    @page.post("/tools/{template}/runs/{job}/cancel")
    async def cancel(template: str, job: str, request: Request, owner: Owner) -> Response:
        await _job(workbench, template, job, owner)
        found = await workbench.cancel(job, owner)
        if "hx-request" not in request.headers:
            return RedirectResponse(f"/tools/{quote(template)}?run={quote(job)}", 303)
        return await result(found, request, owner)

    @page.get("/tools/{template}/runs/{job}/events", response_class=EventSourceResponse)
    async def events(template: str, job: str, request: Request, owner: Owner) -> EventSourceResponse:
        await _job(workbench, template, job, owner)
        return EventSourceResponse(events_of(workbench, job, owner, words_of(request)))


async def panel_of(workbench: Workbench, job: Job, request: Request) -> dict[str, Any]:
    """What the panel of a run shows."""
    return {
        "job": job,
        "said": "" if job.state.terminal else await said_of(workbench, job, words_of(request)),
        "texts": [_text(output.kind, output.value) for output in job.outputs if output.kind not in _NOT_TOLD],
        "takers": takers_of(workbench) if job.assets else [],
    }


async def runs_of(workbench: Workbench, shown: Job | None, owner: str, template: str = "") -> dict[str, Any]:
    """The last runs of the same tool, newest first."""
    name = template if shown is None else shown.template
    found = await workbench.jobs(owner, limit=_LOOKED_THROUGH, cells=False)
    runs = [job for job in found if job.template == name and job.state in _STATES][:_MOST_RUNS]
    return {
        "tool_id": name,
        "runs": runs,
        "shown": "" if shown is None else shown.id,
        "small": small,
        "states": _STATES,
        "icons": _ICONS,
    }


def takers_of(workbench: Workbench) -> Sequence[tuple[str, str]]:
    """The tools that go on from a picture, by id and title."""
    templates = workbench.catalogue.templates.values()
    found = [(each.id, each.title) for each in templates if "image" in each.pictures]
    return [*found, (CHAT, "Chat")] if workbench.settings.all_llm_servers else found


async def _job(workbench: Workbench, template: str, job: str, owner: str) -> Job:
    found = await workbench.job(job, owner)
    if found.template != template:
        raise NotFound(f"There is no run {job[:64]!r} of {template[:64]}.", hint="The gallery has all of them.")
    return found


def _address(asked: JobRequest, job: Job, named: Mapping[str, str]) -> str:
    """Where the run is found again. A seed that was drawn is not for the next one, so it is not put into the form."""
    drawn = asked.values.get("seed", -1) == -1
    query = {"run" if drawn else "job": job.id, **named}
    return f"/tools/{quote(job.template)}?{urlencode(query)}"


def _beside_its_field(request: Request, fields: dict[str, str], failure: WorkbenchError) -> Response | None:
    """What tells the page which field was refused; None when it is none of the form, or nobody would hear it."""
    parameter = failure.details.get("parameter")
    if "hx-request" not in request.headers or not isinstance(parameter, str) or failure.status >= 500:
        return None
    told = {"refused": {"parameter": parameter, "message": failure.message, "hint": failure.hint}}
    return Response(status_code=failure.status, media_type="text/plain", headers={"HX-Trigger": json.dumps(told)})


def _text(kind: str, value: Any) -> tuple[str, str]:
    """The kind of an output and its text."""
    return kind, value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
