"""Presets on the page: keep what the form says under a name, take one for every call, and delete one.

Owns these routes. How presets are kept and when they count, the workbench knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from comfy_mcp.errors import NotFound
from comfy_mcp.jobs import Preset
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.rendering import part
from comfy_mcp.proxy.page.tools.reading import ACTIVE_PRESET, Said, read_form
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.presets import OWN

__all__ = ["add_presets"]

_AROUND = ("prefix", "suffix", "negative")


def add_presets(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    async def bar(request: Request, template: str, owner: str, chosen: str) -> dict[str, Any]:
        presets = await workbench.presets.of(template, owner)
        tool = await workbench.describe(template)
        return {"tool": tool, "presets": presets, "chosen": presets.get(chosen), "has_presets": True}

    @page.post("/tools/{template}/presets/saving")
    async def ask(template: str, request: Request, owner: Owner) -> Response:
        """The dialog that asks for a name."""
        said = await read_form(workbench, template, await fields_of(request))
        presets = await workbench.presets.of(template, owner)
        first = presets.get(said.preset) or Preset(template, "", negative=str(said.values.get("negative") or ""))
        labels = {told["name"]: told["label"] for told in said.described["parameters"]}
        style = workbench.catalogue.styles.get(said.style or "")
        shown: dict[str, Any] = {
            "kept": _kept(said),
            "labels": labels,
            "style": said.style if style is None else style.title,
        }
        return part(request, "tools/_saving.html", tool=said.described, first=first, **shown)

    @page.post("/tools/{template}/presets")
    async def save(template: str, request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        preset = _preset_in(fields, await read_form(workbench, template, fields))
        await workbench.presets.save(preset, owner)
        return part(
            request, "tools/_presets.html", **await bar(request, template, owner, preset.name), saved=preset.name
        )

    @page.post("/tools/{template}/presets/all")
    async def show_all(template: str, request: Request, owner: Owner) -> Response:
        """The dialog with all of them."""
        chosen = (await fields_of(request)).get(ACTIVE_PRESET, "")
        return part(request, "tools/_all_presets.html", **await bar(request, template, owner, chosen))

    @page.post("/tools/{template}/presets/default")
    async def choose(template: str, request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        preset = (await workbench.presets.of(template, owner)).get(fields.get("name", ""))
        if preset is None:
            raise NotFound("There is no such preset.", hint="It may have been deleted.")
        await workbench.presets.save(replace(preset, default=not preset.default), owner)
        shown = await bar(request, template, owner, fields.get(ACTIVE_PRESET, ""))
        return part(request, "tools/_all_presets.html", **shown, changed=True)

    @page.post("/tools/{template}/presets/drop")
    async def drop(template: str, request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        await workbench.presets.drop(template, fields.get("name", ""), owner)
        shown = await bar(request, template, owner, fields.get(ACTIVE_PRESET, ""))
        return part(request, "tools/_all_presets.html", **shown, changed=True)


def _preset_in(fields: dict[str, str], said: Said) -> Preset:
    around = {name: fields.get(f"around.{name}", "") for name in _AROUND}
    name, default = fields.get("_name", "").strip(), fields.get("_default") == "on"
    return Preset(said.template, name, _kept(said), said.style, default=default, **around)


def _kept(said: Said) -> dict[str, Any]:
    """What a preset keeps of a form: not what each call is about, and no negative, which has its own place."""
    return {name: value for name, value in said.settings.items() if name not in OWN and name not in _AROUND}
