"""`/v1/images`: pictures as OpenAI's clients ask for them."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["add_images"]


def add_images(api: APIRouter, workbench: Workbench, maker: Maker, links: Links) -> None:
    """Add these routes to those of `/v1`."""
