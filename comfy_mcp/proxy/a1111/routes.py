"""The routes under `/sdapi/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["router"]


def router(workbench: Workbench, maker: Maker) -> APIRouter:
    """The routes over one workbench."""
    return APIRouter(prefix="/sdapi/v1")
