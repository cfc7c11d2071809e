"""Parameters of a tool that are fixed for everybody, chosen on the page by an administrator.

Owns these routes, which the guard lets nobody else to. Locks are the setting `locked`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.rendering import part
from comfy_mcp.proxy.page.tools.reading import Said, read_form
from comfy_mcp.proxy.page.tools.showing import form_context
from comfy_mcp.settings import Settings
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.presets import OWN
from comfy_mcp.workbench.settling import EVERY

__all__ = ["add_locks"]

_MARK = "lock."


@dataclass(frozen=True, slots=True)
class Lockable:
    """A parameter and the value it would be fixed to. One that is fixed for ``every`` tool is not to be had here."""

    name: str
    label: str
    value: Any
    locked: bool
    every: bool


def add_locks(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.post("/tools/-/locking/{template}")
    async def ask(template: str, request: Request) -> Response:
        """The dialog that asks what to fix."""
        said = await read_form(workbench, template, await fields_of(request))
        return part(request, "tools/_locking.html", tool=said.described, lockable=_lockable(workbench, said))

    @page.post("/tools/-/locks/{template}")
    async def lock(template: str, request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        said = await read_form(workbench, template, fields)
        wanted = {each.name: each.value for each in _lockable(workbench, said) if fields.get(_MARK + each.name) == "on"}
        await workbench.change_settings(lambda settings: {"locked": _locked(settings, template, wanted)})
        chosen = (await workbench.presets.of(template, owner)).get(said.preset)
        shown = await form_context(workbench, said.described, owner, said.filled, chosen)
        return part(request, "tools/_form.html", **shown)


def _locked(settings: Settings, template: str, wanted: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All locks, with the wanted ones instead of those that the template has."""
    others = {name: table for name, table in settings.locked.items() if name != template}
    return {**others, template: wanted} if wanted else {**others}


def _lockable(workbench: Workbench, said: Said) -> list[Lockable]:
    """What can be fixed: what has a value now, but for what each call is about."""
    locked = workbench.settings.locked
    here, everywhere = locked.get(said.template, {}), locked.get(EVERY, {})
    found: list[Lockable] = []
    for told in [*said.described["parameters"], *([{"name": "style", "label": "Style"}] if said.style else [])]:
        name = told["name"]
        given = said.style if name == "style" else said.settings.get(name)
        value = here.get(name, told.get("default") if given in (None, "") else given)
        if name in everywhere:
            found.append(Lockable(name, told["label"], everywhere[name], locked=True, every=True))
        elif name not in OWN and told.get("type") not in ("image", "mask") and value not in (None, ""):
            found.append(Lockable(name, told["label"], value, locked=name in here, every=False))
    return found
