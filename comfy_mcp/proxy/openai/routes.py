"""The routes under `/v1`: each front door adds its own."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.openai.chat import add_completions
from comfy_mcp.proxy.openai.images import add_images
from comfy_mcp.proxy.openai.models import add_models
from comfy_mcp.workbench import Workbench

__all__ = ["router"]


def router(workbench: Workbench, maker: Maker, links: Links) -> APIRouter:
    """The routes over one workbench."""
    api = APIRouter(prefix="/v1")
    add_models(api, workbench)
    add_images(api, workbench, maker, links)
    add_completions(api, workbench, maker, links)
    return api
