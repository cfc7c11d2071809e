"""Workbenches whose ComfyUI routes are open, and a ComfyUI that notes what it is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web

from tests.workbenches import served


@dataclass
class Noted:
    """A ComfyUI without a socket, in front of an engine; ``asked`` are methods and paths."""

    url: str = ""
    asked: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def noting(engine: str) -> AsyncGenerator[Noted]:
    noted = Noted()

    async def passed(request: web.Request) -> web.Response:
        noted.asked.append(f"{request.method} {request.path}")
        if request.path == "/ws":
            return web.Response(status=404)
        url, kind = f"{engine}{request.path_qs}", {"Content-Type": request.headers.get("Content-Type", "")}
        async with session.request(request.method, url, data=await request.read(), headers=kind) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", passed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    noted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield noted
        await runner.cleanup()


@pytest.fixture
async def noted(embedded_url: str) -> AsyncGenerator[Noted]:
    async with noting(embedded_url) as found:
        yield found


@pytest.fixture
async def http(tmp_path: Path, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, embedded_url, comfyui_routes=True) as client:
        yield client


@pytest.fixture
async def slow(tmp_path: Path, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, slow_url, comfyui_routes=True) as client:
        yield client


@pytest.fixture
async def several(tmp_path: Path, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A front end that many people share: each names themselves in a header."""
    async with served(tmp_path, slow_url, comfyui_routes=True, forwarded_users=True) as client:
        yield client


@pytest.fixture
async def watched(tmp_path: Path, noted: Noted) -> AsyncGenerator[httpx.AsyncClient]:
    """In front of the ComfyUI that notes what it is asked."""
    async with served(tmp_path, noted.url, comfyui_routes=True) as client:
        yield client
