"""Varying a picture: the same again with one or two parameters over several values, as a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import Job, JobRequest
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.settling import fixed_in
from comfy_mcp.workflows import Parameter, Template, offered

__all__ = ["Variable", "add_varying", "variable"]

_VARIED = ("int", "float", "enum", "model", "seed")
_MOST_OFFERED = 60
_MOST_LETTERS = 2000


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter that can be varied; ``now`` is its value, ``choices`` what there is to choose from."""

    label: str
    now: Any
    choices: tuple[str, ...] = ()
    range: str = ""


def variable(job: Job | None, template: Template | None, workbench: Workbench) -> dict[str, Variable]:
    """What of a job can be varied, by name: nothing that an administrator fixed, nor of a template that is gone."""
    if job is None or template is None:
        return {}
    fixed = fixed_in(workbench.settings.locked, template.id)
    told = {
        name: Variable(
            parameter.label or name,
            job.values.get(name),
            tuple(str(each) for each in (offered(parameter, workbench.known_info) or ())[:_MOST_OFFERED]),
            _range(parameter),
        )
        for name, parameter in template.parameters.items()
        if parameter.type in _VARIED and name not in fixed
    }
    if template.takes_style and workbench.catalogue.styles and "style" not in fixed:
        told["style"] = Variable("style", job.style or "", tuple(workbench.catalogue.styles)[:_MOST_OFFERED])
    return told


def add_varying(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.post("/gallery/{asset}/vary")
    async def vary(asset: str, request: Request, owner: Owner) -> Response:
        asked = await fields_of(request)
        _, job = await workbench.gallery.picture(asset, owner)
        if job is None:
            raise InvalidParameter("asset", "This picture was not made here.", hint="Take one that a tool made.")
        template = workbench.catalogue.get(job.template)
        started = JobRequest(template=template.id, values=job.values, style=job.style, owner=owner)
        over = _over(asked, template)
        sweep = await workbench.sweeps.start(started, over)
        to = f"/gallery/sweeps/{sweep.id}"
        if "hx-request" in request.headers:
            return Response(headers={"HX-Redirect": to})
        return RedirectResponse(to, 303)


def _over(asked: Mapping[str, str], template: Template) -> dict[str, list[Any]]:
    over: dict[str, list[Any]] = {}
    for number in ("1", "2"):
        name, text = asked.get(f"parameter{number}", ""), asked.get(f"values{number}", "")
        if not name and not text.strip():
            continue
        if name in over or len(text) > _MOST_LETTERS:
            raise InvalidParameter(
                "over", "The two parameters are the same, or too long.", hint="Vary two different ones."
            )
        parts = [part.strip() for part in text.replace("\n", ",").replace("，", ",").split(",") if part.strip()]
        over[name] = [_value(name, part, template.parameters.get(name)) for part in parts]
    return over


def _value(name: str, text: str, parameter: Parameter | None) -> Any:
    if parameter is None or parameter.type not in ("int", "float", "seed"):
        return text
    try:
        return float(text) if parameter.type == "float" else int(text)
    except ValueError:
        raise InvalidParameter(
            name, f"{text[:40]!r} is no number.", hint="Write numbers with commas between."
        ) from None


def _range(parameter: Parameter) -> str:
    ends = ["" if end is None else str(end) for end in (parameter.min, parameter.max)]
    return "–".join(ends) if any(ends) and parameter.type != "seed" else ""
