"""Who calls, and what they can take: from the handshake, the headers of the request, or the variables of a process.

Owns what of it depends on the chat; what headers are called is in `comfy_mcp.callers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mcp.server.context import ServerRequestContext
from starlette.requests import Request

from comfy_mcp.callers import OWN, filled, principal_of, standing_of
from comfy_mcp.callers import owner_of as owner_named
from comfy_mcp.content import Budget
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.profiles import Profile, profile_named, profile_of
from comfy_mcp.tools.registry import Caller

if TYPE_CHECKING:
    from comfy_mcp.settings import Settings

__all__ = ["APPS", "Addresses", "Context", "caller_of", "owner_of", "shows_apps"]

Context = ServerRequestContext[Any]


class Addresses(Protocol):
    """Where a browser finds things, given the HTTP request that asked, if one did; None when nothing listens."""

    def public(self, asset: Asset, request: Request | None) -> str | None:
        """A picture."""
        ...

    def form(self, job: Job, owner: str, request: Request | None) -> str | None:
        """The form of a job's template with its values, as ``owner``."""
        ...


APPS = "io.modelcontextprotocol/ui"
"""The extension of clients that show pages of a server (MCP Apps)."""


def caller_of(settings: Settings, addresses: Addresses, ctx: Context, own: Mapping[str, str]) -> Caller:
    """The caller of this request; ``own`` is what the person set in the variables of this process."""
    headers = {} if ctx.request is None else dict(ctx.request.headers)
    profile = _profile(settings, ctx, headers)
    standing = {**own, **standing_of(headers)}
    return Caller(
        owner=owner_of(ctx),
        wait=profile.wait if settings.wait is None else settings.wait,
        budget=_budget(settings, profile, headers, addresses, ctx),
        standing=standing,
    )


def owner_of(ctx: Context) -> str:
    """Whose jobs these are: over HTTP what the guard found, else those of who started this process."""
    return OWN if ctx.request is None else owner_named(principal_of(ctx.request.scope), ctx.request.headers)


def shows_apps(ctx: Context) -> bool:
    """Whether the client shows pages of ours."""
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and APPS in (capabilities.extensions or {})


def _profile(settings: Settings, ctx: Context, headers: Mapping[str, str]) -> Profile:
    for name in (filled(headers.get("x-workbench-client", "")), settings.client):
        if (named := profile_named(name or "")) is not None:
            return named
    if any(name.startswith("x-openwebui-") for name in headers):
        return profile_of("open-webui")
    params = ctx.session.client_params
    return profile_of("" if params is None else params.client_info.name)


def _budget(
    settings: Settings, profile: Profile, headers: Mapping[str, str], addresses: Addresses, ctx: Context
) -> Budget:
    shown = headers.get("x-inline-images", "").strip().lower()
    inline = shown if shown in ("auto", "never") else settings.inline_images
    most = settings.inline_bytes
    # Who shows our form in the chat needs no link to it.
    linked = profile.links and not shows_apps(ctx)
    return Budget(
        link=lambda asset: addresses.public(asset, ctx.request) if profile.links else None,
        form=lambda job: addresses.form(job, owner_of(ctx), ctx.request) if linked else None,
        picture_bytes=most or profile.picture_bytes,
        answer_bytes=0 if inline == "never" else most or profile.answer_bytes,
        side=None if most else profile.side,
        formats=profile.formats,
        blocks=profile.resource_links,
        structured=shows_apps(ctx),
    )
