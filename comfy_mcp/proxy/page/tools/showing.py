"""The page of one tool: its form, filled from a preset, an earlier run or a picture, and beside it the last run.

Owns what the form is filled with. Running it is in running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Request, Response

from comfy_mcp.errors import BackendUnavailable, NotFound
from comfy_mcp.jobs import Job, Preset
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.rendering import document, part, words_of
from comfy_mcp.proxy.page.tools.cards import away_of, cards_of
from comfy_mcp.proxy.page.tools.pictures import newest_by_style, small
from comfy_mcp.proxy.page.tools.reading import preset_said, read_form
from comfy_mcp.proxy.page.tools.running import panel_of, runs_of
from comfy_mcp.texts import CHAT
from comfy_mcp.ui.forms import form_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.chat_values import CHAT_LISTED
from comfy_mcp.workbench.presets import OWN
from comfy_mcp.workbench.settling import fixed_in

__all__ = ["add_showing", "form_context"]

_SEARCHED_FROM = 9
"""So many cards get a box to search in."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the address of a tool's page says: the ``job`` whose values fill the form, or the ``run`` whose seed was
    drawn and shall not; a picture to put in; the ``preset`` to start from, * for the default one."""

    job: str = ""
    run: str = ""
    image: str = ""
    preset: str = "*"


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form is filled with, and the run that stands beside it."""

    values: Mapping[str, Any]
    job: Job | None = None


def add_showing(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/tools")
    async def tools(request: Request, owner: Owner) -> Response:
        cards = await cards_of(workbench, owner, words_of(request))
        shown: dict[str, Any] = {"cards": cards, "away": away_of(workbench), "searched": len(cards) >= _SEARCHED_FROM}
        return document(request, "tools/index.html", **shown)

    @page.get("/tools/{template}")
    async def tool(template: str, request: Request, owner: Owner, link: Annotated[Link, Depends()]) -> Response:
        try:
            described = await workbench.describe(template)
        except BackendUnavailable as failure:
            shown = {"tool": _listed(workbench, template), "record": failure.record}
            return document(request, "tools/unknown.html", status=failure.status, **shown)
        chosen = await _preset(workbench, template, owner, link.preset)
        filled = await _filled(workbench, described, owner, link.job or link.run, chosen, fill_seed=bool(link.job))
        image = {"image": (await workbench.picture(link.image, owner)).id} if link.image else {}
        values = {**filled.values, **image}
        shown = await form_context(workbench, described, owner, values, chosen)
        shown |= {"job": None, "away": away_of(workbench)}
        if filled.job is not None:
            shown |= await panel_of(workbench, filled.job, request)
        shown |= await runs_of(workbench, filled.job, owner, template)
        return document(request, "tools/tool.html", **shown)

    @page.post("/tools/{template}/form")
    async def form(template: str, request: Request, owner: Owner) -> Response:
        """The form anew, with another preset; what each call is about stays."""
        fields = await fields_of(request)
        said = await read_form(workbench, template, fields)
        chosen = await _preset(workbench, template, owner, fields.get("preset", ""))
        kept = {name: value for name, value in said.values.items() if name in OWN or name == "negative"}
        values = {**(_settings(chosen) if chosen else {}), **kept}
        shown = await form_context(workbench, said.described, owner, values, chosen)
        named = await preset_said(workbench, template, owner, chosen.name if chosen else "")
        address = f"/tools/{quote(template)}" + (f"?{urlencode(named)}" if named else "")
        return part(request, "tools/_form.html", headers={"HX-Replace-Url": address}, **shown)


async def form_context(
    workbench: Workbench, described: Mapping[str, Any], owner: str, values: Mapping[str, Any], chosen: Preset | None
) -> dict[str, Any]:
    """What the template of the form needs."""
    template = described["id"]
    held = {name: small(values[name]) for name in workbench.pictures_of(template) if values.get(name)}
    return {
        "tool": described,
        "form": form_of(
            described,
            styles=await _styles(workbench, owner) if described["style"] else (),
            values=values,
            locked=fixed_in(workbench.settings.locked, template),
            loaded=await _loaded(workbench, template),
            pictures=held,
        ),
        "presets": {} if template == CHAT else await workbench.presets.of(template, owner),
        "chosen": chosen,
        "has_presets": template != CHAT,
    }


def _listed(workbench: Workbench, template: str) -> Mapping[str, str]:
    """What is known of a tool even if nothing answers that could run it."""
    found = workbench.catalogue.templates.get(template)
    return CHAT_LISTED if found is None else {"title": found.title, "description": found.description}


async def _styles(workbench: Workbench, owner: str) -> list[dict[str, Any]]:
    """Every style, with the newest picture that the person made in it."""
    made = await newest_by_style(workbench, owner)
    return [
        {
            "id": name,
            "title": style.title,
            "description": style.description,
            "thumbnail": made.get(name),
        }
        for name, style in workbench.catalogue.styles.items()
    ]


async def _preset(workbench: Workbench, template: str, owner: str, name: str) -> Preset | None:
    """The preset of this name; for ``*`` the one that stands for none. Raises NotFound."""
    if template == CHAT or not name:
        return None
    presets = await workbench.presets.of(template, owner)
    if name == "*":
        return next((preset for preset in presets.values() if preset.default), None)
    if name not in presets:
        raise NotFound(f"There is no preset {name[:64]!r}.", hint="It may have been deleted or renamed.")
    return presets[name]


async def _filled(
    workbench: Workbench, described: Mapping[str, Any], owner: str, job: str, chosen: Preset | None, *, fill_seed: bool
) -> Filled:
    if not job:
        return Filled(_settings(chosen) if chosen is not None else {})
    found = await workbench.job(job, owner)
    if found.template != described["id"]:
        raise NotFound(f"There is no run {job[:64]!r} of {described['id']}.", hint="The gallery has all of them.")
    usual = {told["name"]: told["default"] for told in described["parameters"]}
    values = {name: value for name, value in found.values.items() if name not in usual or value != usual[name]}
    if not fill_seed:
        values.pop("seed", None)
    return Filled({**values, **({"style": found.style} if found.style else {})}, found)


def _settings(preset: Preset) -> dict[str, Any]:
    return {**preset.values, **({"style": preset.style} if preset.style else {})}


async def _loaded(workbench: Workbench, template: str) -> frozenset[str]:
    """The models that some backend holds now, as the choices of the form name them."""
    if template == CHAT:
        offered = await workbench.chats.offered()
        return frozenset(
            f"{server}/{model.id}" for server, models in offered.items() for model in models if model.state == "loaded"
        )
    loaded = (await workbench.line.look()).loaded.values()
    return frozenset(name for _, models in loaded for name in models.split("+") if name)
