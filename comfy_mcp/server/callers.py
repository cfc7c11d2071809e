"""Who calls, and what they can take: from the handshake, the headers of the request, or the variables of a process.

Owns the names of the headers. What chats put there unfilled (`{{COMFY_STEPS}}`, nothing) counts as not sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from starlette.requests import Request

from comfy_mcp.content import Budget
from comfy_mcp.jobs import Asset
from comfy_mcp.profiles import Profile, profile_named, profile_of
from comfy_mcp.tools.registry import Caller

if TYPE_CHECKING:
    from comfy_mcp.settings import Settings

__all__ = ["APPS", "Context", "Link", "caller_of", "owner_of", "shows_apps", "standing_from"]

Context = ServerRequestContext[Any]
Link = Callable[[Asset, Request | None], str | None]
"""Where a browser finds a picture, given the HTTP request that asked, if one did; None when nothing listens."""

APPS = "io.modelcontextprotocol/ui"
"""The extension of clients that show pages of a server (MCP Apps)."""

OWN = "local"
_PREFIX = "x-comfy-"
_USERS = ("x-user-id", "x-openwebui-user-id")
_UNFILLED = re.compile(r"\{\{.*\}\}|\$\{.*\}")
_MOST, _LONG = 4_000, 128
_NOBODY = "nobody"


def caller_of(settings: Settings, link: Link, ctx: Context, own: Mapping[str, str]) -> Caller:
    """The caller of this request; ``own`` is what the person set in the variables of this process."""
    headers = {} if ctx.request is None else dict(ctx.request.headers)
    profile = _profile(settings, ctx, headers)
    standing = {**own, **standing_from({name: value for name, value in headers.items() if name.startswith(_PREFIX)})}
    return Caller(
        owner=owner_of(settings, ctx),
        wait=profile.wait if settings.wait is None else settings.wait,
        budget=_budget(settings, profile, headers, link, ctx),
        standing=standing,
    )


def owner_of(settings: Settings, ctx: Context) -> str:
    """Whose jobs these are; a name in a header counts only where the settings say that it may be believed."""
    if not settings.forwarded_users or ctx.request is None:
        return OWN
    named = next((found for name in _USERS if (found := _filled(ctx.request.headers.get(name, "")))), None)
    if named is None:
        # Not the owner of the machine, whose jobs the REST interface and the command line make.
        return _NOBODY
    return f"user:{named}" if len(named) <= _LONG else f"user:{hashlib.sha256(named.encode()).hexdigest()}"


def shows_apps(ctx: Context) -> bool:
    """Whether the client shows pages of ours."""
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and APPS in (capabilities.extensions or {})


def standing_from(told: Mapping[str, str]) -> dict[str, str]:
    """Parameters by name from headers (`X-Comfy-Steps`) or variables (`COMFY_STEPS`), without the unfilled ones."""
    found: dict[str, str] = {}
    for name, value in told.items():
        key = name.lower().replace("-", "_").removeprefix("x_").removeprefix("comfy_")
        if key and (filled := _filled(value)) is not None:
            found[key] = filled
    return found


def _filled(value: str) -> str | None:
    value = value.strip()
    if value.startswith("b64:"):
        try:
            value = base64.b64decode(value[4:], validate=True).decode().strip()
        except (binascii.Error, ValueError):
            return None
    odd = len(value) > _MOST or not value.replace("\n", " ").isprintable()
    return None if not value or odd or _UNFILLED.fullmatch(value) else value


def _profile(settings: Settings, ctx: Context, headers: Mapping[str, str]) -> Profile:
    for name in (_filled(headers.get("x-workbench-client", "")), settings.client):
        if (named := profile_named(name or "")) is not None:
            return named
    if any(name.startswith("x-openwebui-") for name in headers):
        return profile_of("open-webui")
    params = ctx.session.client_params
    return profile_of("" if params is None else params.client_info.name)


def _budget(settings: Settings, profile: Profile, headers: Mapping[str, str], link: Link, ctx: Context) -> Budget:
    shown = headers.get("x-inline-images", "").strip().lower()
    inline = shown if shown in ("auto", "never") else settings.inline_images
    most = settings.inline_bytes
    return Budget(
        link=lambda asset: link(asset, ctx.request) if profile.links else None,
        picture_bytes=most or profile.picture_bytes,
        answer_bytes=0 if inline == "never" else most or profile.answer_bytes,
        side=None if most else profile.side,
        formats=profile.formats,
        blocks=profile.resource_links,
        structured=shows_apps(ctx),
    )
