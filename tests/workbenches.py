"""Workbenches for tests: the real thing on a data folder of the test's own, served on a free port."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from comfy_mcp.proxy import listening
from comfy_mcp.settings import Settings
from comfy_mcp.workbench import Workbench

__all__ = ["served", "settings_for"]


def settings_for(data: Path, comfyui: str, **more: Any) -> Settings:
    return Settings(data=data, comfyui_url=comfyui, port=0, **more)


@asynccontextmanager
async def served(data: Path, comfyui: str, **more: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a workbench that listens on a real socket."""
    async with (
        Workbench.open(settings_for(data, comfyui, **more)) as workbench,
        listening(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client,
    ):
        yield client
