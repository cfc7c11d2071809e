"""Chats for the tests: the official client against our server over HTTP and stdio, and how to read its answers."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image
from starlette.requests import Request

from comfy_mcp.callers import standing_from
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.proxy import listening
from comfy_mcp.server.protocol import WorkbenchServer
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.toolbox import toolbox
from comfy_mcp.workbench import Workbench
from tests.workbenches import settings_for

__all__ = [
    "FRESH",
    "JOB",
    "SMALL",
    "TRANSPORTS",
    "in_memory",
    "in_sessions",
    "over_http",
    "over_stdio",
    "pictures_of",
    "text_of",
]

SMALL: dict[str, Any] = {"prompt": "a red house", "width": 64, "height": 64, "steps": 3, "seed": 7}
FRESH = {**SMALL, "seed": -1}
"""Another seed each time, so that the engine's cache does not answer."""
JOB = re.compile(r"job ([0-9a-f]{32})")


class _Nowhere:
    """No address for anything: nobody listens."""

    def public(self, asset: Asset, request: Request | None) -> None:
        return

    def form(self, job: Job, owner: str, request: Request | None) -> None:
        return


@asynccontextmanager
async def over_http(
    data: Path,
    comfyui: str,
    *,
    headers: dict[str, str] | None = None,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncGenerator[Client]:
    """``headers`` go with every request; ``options`` are those of the client."""
    settings = settings_for(data, comfyui, **more)
    async with (
        Workbench.open(settings) as workbench,
        listening(workbench) as url,
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), **(options or {})) as chat,
    ):
        yield chat


@asynccontextmanager
async def over_stdio(
    data: Path,
    comfyui: str,
    *,
    headers: dict[str, str] | None = None,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncGenerator[Client]:
    """``headers`` become the variables that stand for them."""
    env = {f"WORKBENCH_{name.upper()}": str(value) for name, value in more.items()}
    env |= {"WORKBENCH_DATA": str(data), "WORKBENCH_COMFYUI_URL": comfyui}
    env |= {name.removeprefix("X-").replace("-", "_").upper(): value for name, value in (headers or {}).items()}
    server = StdioServerParameters(command=sys.executable, args=["-m", "comfy_mcp", "stdio"], env=env)
    async with Client(stdio_client(server), **(options or {})) as chat:
        yield chat


@asynccontextmanager
async def in_memory(
    data: Path,
    comfyui: str,
    *,
    headers: dict[str, str] | None = None,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncGenerator[Client]:
    """No transport at all; ``headers`` are what the person set."""
    async with Workbench.open(settings_for(data, comfyui, **more)) as workbench, background() as tasks:
        tools = toolbox(workbench)

        async def open_tools() -> Toolbox:
            return tools

        server = WorkbenchServer(open_tools, _Nowhere(), standing_from(headers or {}))
        tasks.start_soon(server.changes.watch)
        async with Client(server, **(options or {})) as chat:
            yield chat


@asynccontextmanager
async def in_sessions(
    data: Path, comfyui: str, *, options: dict[str, Any] | None = None, **more: Any
) -> AsyncGenerator[Client]:
    """Over HTTP in the handshake era, with a session."""
    async with over_http(data, comfyui, options={"mode": "legacy", **(options or {})}, **more) as chat:
        yield chat


TRANSPORTS = {"http": over_http, "http-sessions": in_sessions, "stdio": over_stdio, "memory": in_memory}


def text_of(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


def pictures_of(result: types.CallToolResult) -> list[Image.Image]:
    blocks = [block for block in result.content if isinstance(block, types.ImageContent)]
    return [Image.open(io.BytesIO(base64.b64decode(block.data, validate=True))) for block in blocks]
