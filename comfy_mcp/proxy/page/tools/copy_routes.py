"""The dialog with what the form says now as calls to copy, for this server as the person reached it.

Owns the route and what the calls must know of the server; their wording is in copying.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from comfy_mcp.jobs import Preset
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.links import base_of
from comfy_mcp.proxy.page.rendering import part
from comfy_mcp.proxy.page.tools.copying import Asked, copies
from comfy_mcp.proxy.page.tools.reading import Said, read_form
from comfy_mcp.snippets import PLACEHOLDER
from comfy_mcp.texts import CHAT
from comfy_mcp.workbench import Workbench

__all__ = ["add_copying"]


def add_copying(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.post("/tools/{template}/copy")
    async def copy(template: str, request: Request, owner: Owner) -> Response:
        said = await read_form(workbench, template, await fields_of(request))
        preset = (await workbench.presets.of(template, owner)).get(said.preset)
        asked = await _asked(workbench, said, preset, request)
        place = PLACEHOLDER if asked.needs_token else ""
        return part(request, "tools/_copying.html", copies=copies(asked), place=place)


async def _asked(workbench: Workbench, said: Said, preset: Preset | None, request: Request) -> Asked:
    settings = workbench.settings
    template = workbench.catalogue.templates.get(said.template)
    painted = template is not None and template.takes_style and not template.pictures
    return Asked(
        said.template,
        said.settings,
        said.style,
        base_of(request, settings),
        preset,
        needs_token=await workbench.tokens.demanded(settings),
        as_a1111=painted and settings.a1111.txt2img == said.template,
        as_images=painted,
        by_name=said.template != CHAT,
    )
