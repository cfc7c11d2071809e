"""What to paste into each chat, with the address that it can reach and the place of its token."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from comfy_mcp.proxy.links import base_of
from comfy_mcp.proxy.page.settings.tabs import is_administrator, shown
from comfy_mcp.settings import Settings, is_loopback
from comfy_mcp.snippets import PLACEHOLDER, PROGRAM, Address, program, snippets_for
from comfy_mcp.workbench import Workbench

__all__ = ["add_clients", "address_of"]


def add_clients(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/settings/clients")
    async def show(request: Request, container: str = "") -> Response:
        settings = workbench.settings
        needed = await workbench.tokens.demanded(settings)
        address = address_of(request, settings, token=PLACEHOLDER if needed else None)
        # Any other address means the same inside a container.
        local = is_loopback(urlsplit(address.base).hostname or "")
        inside = local and container == "yes"
        used = address.within_container() if inside else address
        return shown(
            request,
            "clients",
            snippets=snippets_for(used),
            address=used,
            local=local,
            inside=inside,
            allowed=_is_allowed(settings, used.place),
            exposed=not is_loopback(settings.host),
        )


def address_of(request: Request, settings: Settings, *, token: str | None) -> Address:
    """As a chat on the machine of who looks reaches us: `public_url`, or as their browser did."""
    base = base_of(request, settings)
    if not is_administrator(request):
        # The folders of this machine, and where its ComfyUI is, are nobody else's business.
        return Address(base, token, PROGRAM)
    env = {} if settings.backends else {"WORKBENCH_COMFYUI_URL": settings.comfyui_url}
    return Address(base, token, program(), env)


def _is_allowed(settings: Settings, place: str) -> bool:
    """Whether we answer to this name."""
    host = urlsplit(f"//{place}").hostname or ""
    return is_loopback(host) or bool({place, f"{host}:*"} & {*settings.allowed_hosts})
