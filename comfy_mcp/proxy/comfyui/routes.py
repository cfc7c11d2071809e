"""The routes under `/comfyui`; there are none unless the settings ask for them, and no others then.

Each is a handler of its own over the workbench: nothing is passed on to a ComfyUI.
"""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.comfyui.files import add_files
from comfy_mcp.proxy.comfyui.hub import Hub
from comfy_mcp.proxy.comfyui.info import add_info
from comfy_mcp.proxy.comfyui.prompts import add_prompts
from comfy_mcp.proxy.comfyui.sockets import add_socket
from comfy_mcp.workbench import Workbench

__all__ = ["router"]


def router(workbench: Workbench) -> APIRouter:
    """The routes over one workbench."""
    api, hub = APIRouter(prefix="/comfyui", include_in_schema=False), Hub()
    add_info(api, workbench)
    add_prompts(api, workbench, hub)
    add_files(api, workbench)
    add_socket(api, workbench, hub)
    return api
