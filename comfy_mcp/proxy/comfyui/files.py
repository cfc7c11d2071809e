"""`/comfyui/view` and `/comfyui/upload/image`: pictures by the names that this front door gave them.

A name is the id of an asset with a suffix, so no path of anybody's disk is ever in one; only the owner's are found.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from comfy_mcp.errors import BadRequest
from comfy_mcp.proxy.asking import Owner, form_of
from comfy_mcp.proxy.serving import file_response
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.graphs import asset_named, file_name

__all__ = ["add_files"]


def add_files(api: APIRouter, workbench: Workbench) -> None:
    """The routes of pictures, and that of uploads by the second name that Open WebUI calls it by."""

    @api.get("/view", response_class=Response)
    async def view(filename: str, request: Request, owner: Owner) -> Response:
        """The bytes of a picture that was made or uploaded; the other parameters of ComfyUI's route are not heeded."""
        found = await workbench.asset(asset_named(filename), owner)
        return await file_response(workbench, found, request, name=file_name(found))

    @api.post("/upload/image")
    @api.post("/api/upload/image")
    async def upload(request: Request, owner: Owner) -> dict[str, Any]:
        """Keep a picture as an input. The name it goes by is answered; the one it came with counts for nothing."""
        async with form_of(request) as form:
            file = form.get("image")
            if not isinstance(file, UploadFile):
                raise BadRequest("There is no picture.", hint="Send it as the field `image` of a form.")
            asset = await workbench.upload(await file.read(), owner)
        return {"name": file_name(asset), "subfolder": "", "type": "input"}
