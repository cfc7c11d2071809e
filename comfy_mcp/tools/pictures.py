"""Pictures as arguments of a tool: an id of an earlier job or picture, base64, or an address."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from anyio import to_thread

from comfy_mcp.content import text_result
from comfy_mcp.errors import InvalidImage, InvalidParameter
from comfy_mcp.jobs import Asset
from comfy_mcp.tools.arguments import schema, text_of
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench

__all__ = ["UPLOAD_IMAGE", "with_uploads"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESS = re.compile(r"(?![Dd][Aa][Tt][Aa]:)[A-Za-z][A-Za-z0-9+.-]*:")
_DATA_URL = re.compile(r"data:[\w.+/-]*;base64,", re.ASCII | re.IGNORECASE)


async def with_uploads(workbench: Workbench, template: str, arguments: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The arguments with every picture that came as base64 stored and replaced by its id.

    Raises:
        NotFound: no such template.
        InvalidParameter: a picture that cannot be read; the details name the parameter.
    """
    values = dict(arguments)
    for parameter in workbench.pictures_of(template):
        value = values.get(parameter)
        if isinstance(value, str) and value and not _ID.fullmatch(value):
            try:
                values[parameter] = (await _kept(workbench, value, owner)).id
            except InvalidImage as failure:
                raise InvalidParameter(parameter, f"{parameter}: {failure.message}", hint=failure.hint) from failure
    return values


async def _kept(workbench: Workbench, text: str, owner: str) -> Asset:
    if _ADDRESS.match(text):
        return await workbench.upload_from(text, owner)
    return await workbench.upload(await to_thread.run_sync(_decode, text), owner)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", text, count=1), validate=True)
    except (binascii.Error, ValueError) as failure:
        raise InvalidImage(
            "This is neither an id nor base64.", hint="Give the id of an earlier job, or the picture as base64."
        ) from failure


async def _upload_image(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    given = text_of(arguments, "image")
    try:
        if _ID.fullmatch(given):
            asset = await workbench.picture(given, caller.owner)
        else:
            asset = await _kept(workbench, given, caller.owner)
    except InvalidImage as failure:
        raise InvalidParameter("image", f"image: {failure.message}", hint=failure.hint) from failure
    return text_result(f"picture {asset.id}: {asset.width}×{asset.height}. Give this id as `image`.")


UPLOAD_IMAGE = Tool(
    name="upload_image",
    description="Keep a picture for later calls and get its id.",
    schema=schema(image={"type": "string", "description": "Job id, picture id, base64 or address."}),
    run=_upload_image,
)
