"""The form of the settings that people change: shown, checked, written, and what holds only after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.proxy.asking import fields_of
from comfy_mcp.proxy.page.rendering import part
from comfy_mcp.proxy.page.settings.options import CHOICES, Group, Option, changes_of, options_of
from comfy_mcp.proxy.page.settings.tabs import ADMINISTRATOR, shown
from comfy_mcp.settings import RELOADED, Settings, load_settings
from comfy_mcp.workbench import Workbench

__all__ = ["add_options"]

_PATH = "/settings/options"


def add_options(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get(_PATH, dependencies=[ADMINISTRATOR])
    async def show(request: Request) -> Response:
        return shown(request, "options", **_context(await _groups(workbench)))

    @page.post(_PATH)
    async def change(request: Request) -> Response:
        fields = await fields_of(request)
        templates, changes = workbench.catalogue.templates, dict[str, Any]()

        def chosen(settings: Settings) -> Mapping[str, Any]:
            groups = options_of(settings, load_settings(), templates)
            changes.update(changes_of(fields, [option for _, group in groups for option in group], settings))
            return changes

        await workbench.change_settings(chosen)
        if "hx-request" not in request.headers:
            return RedirectResponse(_PATH, 303)
        later = bool(changes.keys() - RELOADED)
        context = _context(await _groups(workbench))
        context |= {"saved": bool(changes), "unchanged": not changes, "later": later}
        return part(request, "settings/_options.html", **context)


async def _groups(workbench: Workbench) -> list[tuple[Group, list[Option]]]:
    written = await to_thread.run_sync(load_settings)
    return options_of(workbench.settings, written, workbench.catalogue.templates)


def _context(groups: list[tuple[Group, list[Option]]]) -> dict[str, Any]:
    return {"groups": groups, "titles": CHOICES, "saved": False, "unchanged": False, "later": False}
