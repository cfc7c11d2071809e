"""The routes under `/comfyui`; there are none unless the settings ask for them."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.workbench import Workbench

__all__ = ["router"]


def router(workbench: Workbench) -> APIRouter:
    """The routes over one workbench."""
    return APIRouter(prefix="/comfyui")
