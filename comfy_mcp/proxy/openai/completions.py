"""`/v1/chat/completions`: workflows as chat agents, and the queue in front of local language models."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.workbench import Workbench

__all__ = ["add_completions"]


def add_completions(api: APIRouter, workbench: Workbench, maker: Maker, links: Links) -> None:
    """Add these routes to those of `/v1`."""
