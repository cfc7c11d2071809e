"""`/api/v1`: templates, jobs and assets for programs. Every handler is a few lines over the workbench."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import ValidationError
from sse_starlette import EventSourceResponse

from comfy_mcp.errors import BadRequest, InvalidImage
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.proxy.api.compare import add_compare
from comfy_mcp.proxy.api.models import (
    AssetOut,
    BackendOut,
    BackendsOut,
    FailureOut,
    JobIn,
    JobOut,
    JobsOut,
    TemplateOut,
    TemplatesOut,
    described_body,
)
from comfy_mcp.proxy.asking import Owner, object_of
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.serving import file_response
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.chat_values import CHAT_LISTED
from comfy_mcp.workbench.refusals import plainly

__all__ = ["router"]

_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": FailureOut} for status in (400, 404, 409, 413, 415, 422, 429, 502, 503, 507)
}
_SHAPE = '{"template": …, "values": {…}, "style": …}'
_PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            **{mime: {"schema": {"type": "string", "format": "binary"}} for mime in ("image/png", "image/jpeg")},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
_MODES: dict[str, Mode] = {"pause": Mode.PAUSED, "drain": Mode.DRAINING, "resume": Mode.ACTIVE}
Order = Literal["pause", "drain", "resume"]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


class Shown(Protocol):
    """A job as it is answered; ``listed`` among others."""

    def __call__(self, job: Job, *, listed: bool = False) -> JobOut: ...


def router(workbench: Workbench, links: Links) -> APIRouter:
    """The routes over one workbench."""
    api = APIRouter(prefix="/api/v1", responses=_FAILURES)

    def shown(job: Job, *, listed: bool = False) -> JobOut:
        return JobOut.of(job, [links.path(asset) for asset in job.assets], listed=listed)

    _add_templates(api, workbench)
    _add_jobs(api, workbench, shown)
    _add_events(api, workbench, shown)
    _add_assets(api, workbench, links)
    _add_backends(api, workbench)
    add_compare(api, workbench)
    return api


def _add_templates(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/templates")
    async def templates() -> TemplatesOut:
        """Everything that can be made, and the styles."""
        catalogue = workbench.catalogue
        chat = [TemplateOut(**CHAT_LISTED)] if workbench.settings.all_llm_servers else []
        return TemplatesOut(
            templates=[
                TemplateOut(id=name, title=template.title, description=template.description)
                for name, template in catalogue.templates.items()
            ]
            + chat,
            styles=[{"id": name, "title": style.title} for name, style in catalogue.styles.items()],
            problems=[str(diagnostic) for diagnostic in catalogue.diagnostics],
        )

    @api.get("/templates/{template}")
    async def template(template: str) -> dict[str, Any]:
        """The parameters of one template with labels, ranges and the choices that there are now."""
        return await workbench.describe(template, fresh=True)


def _add_jobs(api: APIRouter, workbench: Workbench, shown: Shown) -> None:
    @api.post("/jobs", status_code=202, openapi_extra=described_body(JobIn))
    async def create(request: Request, response: Response, owner: Owner, key: Key = None) -> JobOut:
        """Queue a job. It is on disk before the answer; the same Idempotency-Key never makes a second one."""
        asked = _job_in(await object_of(request, _SHAPE))
        job = await workbench.submit(_request(asked, owner), key)
        response.headers["Location"] = f"/api/v1/jobs/{job.id}"
        return shown(job)

    @api.get("/jobs")
    async def jobs(owner: Owner, limit: Annotated[int, Query(ge=1, le=200)] = 50, before: str | None = None) -> JobsOut:
        """The newest jobs, without those that ended of a comparison; `/compare` has their answers."""
        found = await workbench.jobs(owner, limit=limit, before=before, cells=False)
        listed = [shown(job, listed=True) for job in found]
        return JobsOut(jobs=listed, next=found[-1].id if len(found) == limit else None)

    @api.get("/queue")
    async def queue(owner: Owner, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> JobsOut:
        """What runs, then what waits in the order of arrival, each with its place."""
        found = await workbench.active(owner, limit=limit)
        return JobsOut(jobs=[shown(job, listed=True) for job in found], next=None)

    @api.get("/jobs/{job}")
    async def job(job: str, owner: Owner) -> JobOut:
        """One job as it is now."""
        return shown(await workbench.job(job, owner))

    @api.delete("/jobs/{job}")
    async def cancel(job: str, owner: Owner) -> JobOut:
        """Stop a job. A queued one ends at once, a running one at its next step; an ended one stays as it is."""
        return shown(await workbench.cancel(job, owner))


def _add_events(api: APIRouter, workbench: Workbench, shown: Shown) -> None:
    @api.get("/jobs/{job}/events", response_class=EventSourceResponse)
    async def events(job: str, owner: Owner) -> EventSourceResponse:
        """Follow a job as Server-Sent Events: `progress` with every change, then one `end`."""
        await workbench.job(job, owner)
        return EventSourceResponse(_events(workbench, job, owner, shown))


def _add_assets(api: APIRouter, workbench: Workbench, links: Links) -> None:
    @api.post("/assets", status_code=201, openapi_extra=_PICTURE_BODY)
    async def upload(request: Request, owner: Owner) -> AssetOut:
        """Store a picture as an input: as the whole body, or as the field `file` of a form."""
        asset = await workbench.upload(await _picture_in(request), owner)
        return AssetOut.of(asset, links.path(asset))

    @api.get("/assets/{asset}", response_class=Response)
    async def download(asset: str, request: Request, owner: Owner) -> Response:
        """The bytes of a picture."""
        # Who has a link that we signed may see the picture, whoever made it.
        found = await workbench.asset(asset, None if links.is_signed(request.scope) else owner)
        return await file_response(workbench, found, request, name=found.name)


def _add_backends(api: APIRouter, workbench: Workbench) -> None:
    async def told() -> BackendsOut:
        return BackendsOut(backends=[BackendOut.of(member) for member in await workbench.backends()])

    @api.get("/backends")
    async def backends() -> BackendsOut:
        """Where jobs run, and how those are."""
        return await told()

    @api.post("/backends/{backend}/{order}")
    async def order(backend: str, order: Order) -> BackendsOut:
        """Pause a backend (its jobs go on, it gets no new ones), drain it (then its memory is freed), or resume it."""
        await workbench.set_mode(backend, _MODES[order])
        return await told()


def _job_in(told: dict[str, Any]) -> JobIn:
    try:
        return JobIn.model_validate(told)
    except ValidationError as failure:
        raise BadRequest(plainly(failure), hint=f"Send {_SHAPE} as JSON.") from None


def _request(asked: JobIn, owner: str) -> JobRequest:
    return JobRequest(
        template=asked.template,
        values=asked.values,
        style=asked.style or None,
        owner=owner,
        priority=asked.priority,
        tags=tuple(asked.tags),
        expires_in=asked.expires_in,
    )


async def _events(workbench: Workbench, job: str, owner: str, shown: Shown) -> AsyncGenerator[dict[str, str]]:
    async with aclosing(workbench.follow(job, owner)) as changes:
        async for current in changes:
            told = shown(current).model_dump(mode="json")
            if current.progress.preview is not None and current.state is JobState.RUNNING:
                told["preview"] = "data:image/jpeg;base64," + base64.b64encode(current.progress.preview).decode()
            yield {"event": "end" if current.state.terminal else "progress", "data": json.dumps(told)}


async def _picture_in(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        if kind.startswith("text/") or kind in ("", "application/json", "application/x-www-form-urlencoded"):
            raise InvalidImage("This is no picture.", hint="Send the bytes with Content-Type image/png, or a form.")
        return await request.body()
    async with request.form(max_files=1, max_fields=4) as form:
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise InvalidImage("The form has no picture.", hint="Put it into the field named file.")
        return await file.read()
