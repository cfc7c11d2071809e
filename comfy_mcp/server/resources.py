"""What a chat can read by address: pictures, jobs, templates, and the page of the app.

Owns the addresses (`asset://`, `job://`, `template://`, `ui://`) and what is behind them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import mcp_types as types
from anyio import to_thread
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from comfy_mcp import images
from comfy_mcp.apps import MIME, PAGE_URI, page
from comfy_mcp.content import asset_uri, job_data
from comfy_mcp.errors import NotFound, WorkbenchError
from comfy_mcp.jobs import Asset
from comfy_mcp.server.callers import Context, owner_of, shows_apps
from comfy_mcp.tools.registry import Toolbox

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = ["Resources"]

_LISTED = 20
_MOST_BYTES = 2 * 2**20
"""Larger ones would hold up everybody while they are made into JSON; they are behind the link, or have a preview."""

_PREVIEW_BYTES, _PREVIEW_SIDE = 400_000, 1568
_NOT_FOUND = -32002
_JSON = "application/json"


class Resources:
    """The handlers of `resources/*`, and of completions of their addresses."""

    def __init__(self, open_tools: Callable[[], Awaitable[Toolbox]]) -> None:
        self._open_tools = open_tools

    async def list(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        """The templates, the latest pictures of the caller, and the page of the app for who can show it."""
        workbench = (await self._open_tools()).workbench
        found = [
            types.Resource(
                uri=f"template://{name}", name=name, title=told.title, description=told.description, mime_type=_JSON
            )
            for name, told in workbench.catalogue.templates.items()
        ]
        jobs = await workbench.jobs(owner_of(ctx), limit=_LISTED)
        found += [_picture(asset, job.template) for job in jobs for asset in job.assets][:_LISTED]
        if shows_apps(ctx):
            found.append(types.Resource(uri=PAGE_URI, name="app", title="Form and gallery", mime_type=MIME))
        return types.ListResourcesResult(resources=found)

    async def templates(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """The shapes of the addresses."""
        told = (
            ("template://{id}", "template", "All parameters of a template with every choice.", _JSON),
            ("job://{id}", "job", "A job: how far it is, its values, its pictures. Can be subscribed to.", _JSON),
            ("asset://{id}", "picture", "A picture as it came out, with its metadata.", None),
            ("asset://{id}/preview", "preview", "A picture, made small enough for any chat.", None),
        )
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(uri_template=uri, name=name, description=description, mime_type=mime)
                for uri, name, description, mime in told
            ]
        )

    async def read(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """The contents behind an address. Raises MCPError when there is nothing, or it is not the caller's."""
        workbench, uri = (await self._open_tools()).workbench, str(params.uri)
        owner = owner_of(ctx)
        kind, _, name = uri.partition("://")
        try:
            match kind:
                case "template":
                    return _text(uri, await workbench.describe(name))
                case "job":
                    return _text(uri, job_data(await workbench.job(name, owner)))
                case "asset":
                    name, _, small = name.partition("/")
                    if small in ("", "preview"):
                        return await _bytes(workbench, uri, name, owner, small=bool(small))
                case "ui" if uri == PAGE_URI:
                    return _page(uri)
                case _:
                    pass
        except NotFound as failure:
            raise _not_there(ctx, uri, str(failure)) from None
        except WorkbenchError as failure:
            raise MCPError(types.INTERNAL_ERROR, str(failure), {"uri": uri}) from None
        raise _not_there(ctx, uri)

    async def names(self, ctx: Context, uri_template: str, begun: str) -> Sequence[str]:
        """How the open part of an address can go on."""
        workbench = (await self._open_tools()).workbench
        owner = owner_of(ctx)
        if uri_template.startswith("template://"):
            names = list(workbench.catalogue.templates)
        else:
            jobs = await workbench.jobs(owner, limit=_LISTED)
            wants_jobs = uri_template.startswith("job://")
            names = [job.id for job in jobs] if wants_jobs else [asset.id for job in jobs for asset in job.assets]
        return [name for name in names if name.startswith(begun)]


def _not_there(ctx: Context, uri: str, told: str = "There is no such resource.") -> MCPError:
    """The later era has retired the code of the earlier one."""
    code = types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else _NOT_FOUND
    return MCPError(code, told, {"uri": uri})


async def _bytes(workbench: Workbench, uri: str, name: str, owner: str, *, small: bool) -> types.ReadResourceResult:
    asset = await workbench.asset(name, owner)
    if not small and asset.size > _MOST_BYTES:
        raise MCPError(types.INVALID_PARAMS, f"The picture is larger than {_MOST_BYTES} bytes: read {uri}/preview.")
    data, mime = await workbench.read(asset), asset.mime
    if small and mime.startswith("image/"):
        fitted = await images.fit(data, max_bytes=_PREVIEW_BYTES, max_side=_PREVIEW_SIDE)
        data, mime = fitted.data, fitted.mime
    blob = (await to_thread.run_sync(base64.b64encode, data)).decode("ascii")
    return types.ReadResourceResult(contents=[types.BlobResourceContents(uri=uri, mime_type=mime, blob=blob)])


def _picture(asset: Asset, template: str) -> types.Resource:
    size = f", {asset.width}×{asset.height}" if asset.width else ""
    return types.Resource(
        uri=asset_uri(asset), name=asset.name, description=template + size, mime_type=asset.mime, size=asset.size
    )


def _text(uri: str, value: Any) -> types.ReadResourceResult:
    text = json.dumps(value, ensure_ascii=False)
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=_JSON, text=text)])


def _page(uri: str) -> types.ReadResourceResult:
    told = types.TextResourceContents(uri=uri, mime_type=MIME, text=page(), _meta={"ui": {"prefersBorder": True}})
    return types.ReadResourceResult(contents=[told])
