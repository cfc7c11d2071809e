"""The routes of drafts: one form, kept with all that was typed at every step, whatever comes of the step."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse

from comfy_mcp.errors import WorkbenchError
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.proxy.asking import Owner
from comfy_mcp.proxy.page.rendering import document, part, words_of
from comfy_mcp.proxy.page.templates.showing import drawing_of
from comfy_mcp.workbench.authoring import Authoring
from comfy_mcp.workbench.drafts import Draft
from comfy_mcp.workflows import Lack, Parameter, offered

__all__ = ["DRAFTS", "add_drafts"]

DRAFTS = "/templates/my-drafts"
"""No template can be called so: its name would have no hyphen."""

_MOST_FILES, _MOST_FIELDS, _MOST_PART = 16, 2_000, 2**18
_MOST_OFFERED = 200


@dataclass(frozen=True, slots=True)
class _Form:
    fields: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def step(self) -> tuple[str, int]:
        """What is to be done, and with which row."""
        name, _, place = self.fields.get("do", "check")[:16].partition("-")
        return name, int(place) if place.isascii() and place.isdigit() else 0


def add_drafts(page: APIRouter, authoring: Authoring) -> None:
    """Add these routes to the page."""

    @page.get(DRAFTS + "/{draft}")
    async def show(request: Request, draft: str, owner: Owner) -> Response:
        return await _shown(request, authoring, await authoring.draft(draft, owner), owner)

    @page.get(DRAFTS + "/{draft}/trial")
    async def trial(request: Request, draft: str, owner: Owner) -> Response:
        found = await authoring.draft(draft, owner)
        job = await authoring.trial(found, owner)
        return part(request, "templates/_trial.html", draft=found, job=job, preview=_preview(job))

    @page.post(DRAFTS + "/{draft}")
    async def step(request: Request, draft: str, owner: Owner) -> Response:
        form = await _form(request)
        current = (await authoring.draft(draft, owner)).changed(form.fields)
        await authoring.keep(current, owner)
        try:
            return RedirectResponse(await _stepped(authoring, current, form, owner), 303)
        except WorkbenchError as failure:
            kept = await authoring.draft(draft, owner)
            return await _shown(request, authoring, kept, owner, failure, form.step[0])


async def _form(request: Request) -> _Form:
    limits = {"max_files": _MOST_FILES, "max_fields": _MOST_FIELDS, "max_part_size": _MOST_PART}
    async with request.form(**limits) as form:
        told = form.multi_items()
        fields = {name: value for name, value in told if isinstance(value, str)}
        files = {name: await value.read() for name, value in told if isinstance(value, UploadFile) and value.size}
    return _Form(fields, {name.removeprefix("file_"): data for name, data in files.items()})


async def _stepped(authoring: Authoring, draft: Draft, form: _Form, owner: str) -> str:
    """Do what was asked; where to go then."""
    here = f"{DRAFTS}/{draft.id}"
    name, place = form.step
    if name == "add":
        draft = await authoring.with_parameter(draft, form.fields.get("place", ""))
        await authoring.keep(draft, owner)
        return f"{here}#name_{len(draft.rows) - 1}"
    if name == "up":
        await authoring.keep(draft.moved_up(place), owner)
        return f"{here}#row-{max(0, place - 1)}"
    if name == "try":
        await authoring.try_out(draft, form.files, owner)
        return f"{here}#trial"
    if name == "discard":
        await authoring.discard(draft, owner)
        return "/templates"
    if name == "save":
        asked = {key: key in form.fields for key in ("overwrite", "preview")}
        return f"/templates/{await authoring.save(draft, owner, **asked)}?saved=1"
    return f"{here}#problems"


async def _shown(
    request: Request,
    authoring: Authoring,
    draft: Draft,
    owner: str,
    failure: WorkbenchError | None = None,
    step: str = "",
) -> Response:
    template, problems = draft.looked_over()
    infos, outage = await authoring.infos()
    lacks = await authoring.lacks(template, infos) if template is not None else []
    job = await authoring.trial(draft, owner)
    words = words_of(request)
    label = words("Graph of %(title)s", title=words(draft.title))
    choices = {
        name: _choices(told, [str(each) for info in infos[:1] for each in offered(told, info) or ()])
        for name, told in (template.parameters if template is not None else {}).items()
    }
    return document(
        request,
        "templates/draft.html",
        status=200 if failure is None else failure.status,
        draft=draft,
        drawing=await drawing_of(draft.graph, label, _marks(draft), _broken(lacks, job)),
        template=template,
        problems=problems,
        lacks=lacks,
        absent=_absent(draft, lacks),
        outage=outage,
        choices=choices,
        places=_places(draft),
        is_taken=await authoring.is_taken(draft),
        failure=failure,
        step=step,
        job=job,
        preview=_preview(job),
    )


def _absent(draft: Draft, lacks: list[Lack]) -> list[tuple[Lack, int | None]]:
    """The files that are missing, each with the row where it is chosen, if there is one."""
    places = {row.name: place for place, row in enumerate(draft.rows) if row.keep}
    return [(lack, places.get(lack.parameter)) for lack in lacks if lack.kind == "file"]


def _marks(draft: Draft) -> dict[str, list[str]]:
    marks: dict[str, list[str]] = {}
    for row in draft.rows:
        for node in row.nodes if row.keep else ():
            marks.setdefault(node, []).append(row.name)
    return marks


def _broken(lacks: list[Lack], job: Job | None) -> set[str]:
    """The nodes that lack something, and the one at which the last try ended."""
    failed = job.error.details.get("node") if job is not None and job.error is not None else None
    return {lack.node for lack in lacks} | ({failed} if isinstance(failed, str) else set())


def _places(draft: Draft) -> dict[str, list[tuple[str, str]]]:
    """What can be set besides, by node: the place and the name of the input."""
    found: dict[str, list[tuple[str, str]]] = {}
    for bind in draft.free_places():
        found.setdefault(f"{bind.class_type} #{bind.node}", []).append((str(bind), bind.input))
    return found


def _choices(told: Parameter, names: list[str]) -> list[str]:
    return (names or list(told.choices or ()))[:_MOST_OFFERED] if told.type in ("enum", "model") else []


def _preview(job: Job | None) -> str:
    """The address of the picture as far as it is."""
    seen = job.progress.preview if job is not None and job.state is JobState.RUNNING else None
    return "" if seen is None else "data:image/jpeg;base64," + base64.b64encode(seen).decode()
