"""The web application: the guard, then MCP, the façades and the health check over one workbench.

Owns the wiring and the translation of our errors to HTTP. The façades beside it do not know each other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import comfy_mcp
from comfy_mcp.callers import EVERYTHING, Principal, Right
from comfy_mcp.proxy import a1111, api, comfyui, openai, page
from comfy_mcp.proxy.failures import Words, translate_failures
from comfy_mcp.proxy.guard import Guard, Identity, Rules, SignedIn
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.server.protocol import WorkbenchServer
from comfy_mcp.server.sessions import Sessions
from comfy_mcp.settings import Settings, is_loopback
from comfy_mcp.signing import Signer
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.toolbox import toolbox
from comfy_mcp.workbench import Workbench

__all__ = ["create_app"]

_WORDS = Words(
    {
        "/v1/": openai.openai_failure,
        "/sdapi/": a1111.a1111_failure,
        "//sdapi/": a1111.a1111_failure,
        "/comfyui/": comfyui.comfyui_failure,
    },
    {"/v1/": openai.OPENAI_STATUSES},
    page.shown_failure,
)


def create_app(workbench: Workbench) -> ASGIApp:
    """The guarded application. The workbench must stay open as long as the application runs.

    Raises:
        StorageUnavailable: the key that signs links cannot be read or made.
    """
    settings = workbench.settings
    signer = Signer.from_folder(settings.data)
    links = Links(settings, signer)
    tools = toolbox(workbench)

    async def open_tools() -> Toolbox:
        return tools

    server = WorkbenchServer(open_tools, links)
    mcp = Sessions(server, signer, max_body=settings.max_body, on_end=server.changes.forget)

    makers = {name: Maker(workbench) for name in ("a1111", "openai")}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(mcp.run())
            for maker in makers.values():
                await stack.enter_async_context(maker.run())
            tasks = await stack.enter_async_context(background())
            tasks.start_soon(server.changes.watch)
            yield

    app = FastAPI(
        title="ComfyUI workbench",
        version=comfy_mcp.__version__,
        description="Your own ComfyUI workflows as jobs. The same workbench answers chats at `/mcp`.",
        lifespan=lifespan,
        # Its page would load scripts from elsewhere; ours is the section of settings.
        docs_url=None,
        redoc_url=None,
    )
    # First, since routes are tried in their order, and here somebody waits for a first token.
    app.include_router(openai.router(workbench, makers["openai"], links))
    app.include_router(api.router(workbench, links))
    app.include_router(a1111.router(workbench, makers["a1111"]))
    if settings.comfyui_routes:
        app.include_router(comfyui.router(workbench))
    rules = _rules(settings)
    signed_in = SignedIn(signer, rules, workbench.tokens, settings.link_expiry)
    identity = Identity(rules, workbench.tokens, signed_in)
    app.include_router(page.router(workbench, page.Entrance(signed_in, identity)))
    app.add_api_route("/healthz", _health(workbench), methods=["GET", "HEAD"], include_in_schema=False)
    for path in ("/mcp", "/mcp/"):
        # Both, and without a redirect: some chats refuse to follow one to a private address.
        app.router.routes.append(Route(path, _Endpoint(mcp), include_in_schema=False))
    translate_failures(app, _WORDS)
    return Guard(app, rules, links.is_signed, identity, _WORDS)


class _Endpoint:
    """Makes an ASGI app a route of every method: a class, because Starlette hands functions a Request instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _rules(settings: Settings) -> Rules:
    hosts = {host.lower() for host in settings.allowed_hosts}
    if not is_loopback(settings.host):
        hosts.add(f"{settings.host}:*")
    if settings.public_url is not None:
        hosts.add(settings.public_url.split("://", 1)[1].split("/", 1)[0].lower())
    return Rules(
        token=settings.token.get_secret_value() if settings.token else None,
        exposed=not is_loopback(settings.host),
        hosts=frozenset(hosts),
        origins=frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins),
        max_body=settings.max_body,
        max_header=settings.max_header,
        receive_timeout=settings.receive_timeout,
        rate=settings.rate,
        max_connections=settings.max_connections,
        owner=Principal(rights=EVERYTHING if settings.forwarded_users else EVERYTHING - {Right.USERS}),
    )


def _health(workbench: Workbench) -> Any:
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "dispatching": workbench.dispatching}

    return healthz
