"""Every route, mounted app and socket of the real application needs a token, and the right that is written down."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.callers import EVERYTHING, Right
from comfy_mcp.proxy import listening
from comfy_mcp.proxy.app import create_app
from comfy_mcp.proxy.guard import Guard
from comfy_mcp.proxy.guard.access import SOCKET, right_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.proxy.guard.inventory import EVERY, INVENTORY
from tests.workbenches import settings_for

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@asynccontextmanager
async def everything(data: Path) -> AsyncGenerator[Workbench]:
    """A workbench with every front door open. No job of it runs."""
    settings = settings_for(data, "http://127.0.0.1:9", comfyui_routes=True, rate=0)
    async with Workbench.open(settings, dispatch=False) as workbench:
        yield workbench


def found(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of everything that the routes lead to, also through mounts and included routers."""
    for route in routes:
        included = getattr(route, "original_router", None)
        inner = included or route
        path = prefix + getattr(route, "path", "")
        if hasattr(inner, "routes"):
            yield from found(inner.routes, path)
            continue
        assert path, f"{route} is of a kind that this test does not know"
        methods = [SOCKET] if "WebSocket" in type(route).__name__ else route.methods or [EVERY]
        yield from ((method, path) for method in methods)


async def test_every_route_is_written_down(tmp_path: Path) -> None:
    async with everything(tmp_path) as workbench:
        app = create_app(workbench)
    assert isinstance(app, Guard)
    routes = sorted(found(getattr(app.app, "routes")))  # noqa: B009 - the type of an ASGI app knows of none

    assert {*routes} - {*INVENTORY} == set(), "add them to the inventory, each with the right that it needs"
    assert {*INVENTORY} - {*routes} == set(), "these are gone"


@pytest.mark.parametrize(("method", "path"), INVENTORY, ids=" ".join)
def test_the_table_agrees(method: str, path: str) -> None:
    for each in ("GET", "POST", "DELETE") if method == EVERY else (method,):
        assert right_of(each, filled(path)) is INVENTORY[method, path]


def test_what_nobody_has_heard_of_needs_the_right_to_make() -> None:
    for path in ("/queue", "/new", "/healthz/", "/api/v1/backends", "/comfyui", "/API/V1/BACKENDS/x/pause"):
        for method in ("GET", "POST", "PATCH", SOCKET):
            assert right_of(method, path) is Right.MAKE
    assert right_of("DELETE", "/api/v1/backends/x") is Right.ADMIN
    assert right_of("PUT", "/comfyui/x") is Right.GRAPHS
    assert right_of("POST", "/healthz") is Right.MAKE


async def test_each_is_refused_without_a_token_and_without_its_right(tmp_path: Path) -> None:
    async with everything(tmp_path) as workbench:
        lacking = {
            right: await workbench.tokens.add(Token(f"no-{right}", rights=EVERYTHING - {right})) for right in Right
        }
        async with listening(workbench) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
            for (method, path), right in INVENTORY.items():
                for each in ("GET", "POST", "DELETE", "PUT", "OPTIONS") if method == EVERY else (method,):
                    refused = await answered(http, each, filled(path), None)
                    if right is None:
                        assert refused.status_code not in (401, 403), (each, path)
                        continue
                    # People are shown where to sign in.
                    shown = refused.status_code == 303 and refused.headers["location"].startswith("/sign-in?")
                    assert refused.status_code == 401 or (shown and each == "GET"), (each, path)
                    refused = await answered(http, each, filled(path), lacking[right])
                    assert refused.status_code == 403, (each, path)
                    assert "not_allowed" in refused.text or "lacks the right" in refused.text or each == "HEAD"


async def answered(http: httpx.AsyncClient, method: str, path: str, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if method == SOCKET:
        return await http.get(path, headers={**headers, **UPGRADE})
    return await http.request(method, path, headers=headers)


def filled(path: str) -> str:
    """The path with something for each of its parameters."""
    return re.sub(r"\{\w+(:\w+)?\}", "x", path)
