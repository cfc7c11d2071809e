"""`/v1/models`: what can be named as a model."""

from __future__ import annotations

from fastapi import APIRouter

from comfy_mcp.workbench import Workbench

__all__ = ["add_models"]


def add_models(api: APIRouter, workbench: Workbench) -> None:
    """Add these routes to those of `/v1`."""
