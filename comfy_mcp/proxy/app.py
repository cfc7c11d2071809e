"""The web application: the guard, then MCP, `/api/v1` and the health check over one workbench.

Owns the wiring and the translation of our errors to HTTP. The façades beside it do not know each other.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import comfy_mcp
from comfy_mcp.errors import InternalError, Overloaded, SettingsError, WorkbenchError
from comfy_mcp.proxy.guard import Guard, Rules, failure_body
from comfy_mcp.proxy.jobs import router
from comfy_mcp.proxy.links import Links
from comfy_mcp.server.protocol import WorkbenchServer
from comfy_mcp.server.sessions import Sessions
from comfy_mcp.settings import Settings, is_loopback
from comfy_mcp.signing import Signer
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.toolbox import toolbox
from comfy_mcp.workbench import Workbench

__all__ = ["create_app"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30


def create_app(workbench: Workbench) -> ASGIApp:
    """The guarded application. The workbench must stay open as long as the application runs.

    Raises:
        SettingsError: it would listen beyond this machine without a token.
        StorageUnavailable: the key that signs links cannot be read or made.
    """
    settings = workbench.settings
    if not is_loopback(settings.host) and settings.token is None:
        raise SettingsError(
            f"Listening on {settings.host} needs a token.",
            hint="Set WORKBENCH_TOKEN to at least 16 characters, or listen on 127.0.0.1.",
        )
    signer = Signer.from_folder(settings.data)
    links = Links(settings, signer)
    tools = toolbox(workbench)

    async def open_tools() -> Toolbox:
        return tools

    server = WorkbenchServer(open_tools, links.public)
    mcp = Sessions(server, signer, max_body=settings.max_body, on_end=server.changes.forget)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with mcp.run(), background() as tasks:
            tasks.start_soon(server.changes.watch)
            yield

    app = FastAPI(
        title="ComfyUI workbench",
        version=comfy_mcp.__version__,
        description="Your own ComfyUI workflows as jobs. The same workbench answers chats at `/mcp`.",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
    )
    app.include_router(router(workbench, links))
    app.add_api_route("/healthz", _health(workbench), methods=["GET"], include_in_schema=False)
    for path in ("/mcp", "/mcp/"):
        # Both, and without a redirect: some chats refuse to follow one to a private address.
        app.router.routes.append(Route(path, _Endpoint(mcp), include_in_schema=False))
    _translate_failures(app)
    return Guard(app, _rules(settings), links.is_signed)


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
        hosts=frozenset(hosts),
        origins=frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins),
        max_body=settings.max_body,
        max_header=settings.max_header,
        receive_timeout=settings.receive_timeout,
    )


def _health(workbench: Workbench) -> Any:
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "dispatching": workbench.dispatching}

    return healthz


def _translate_failures(app: FastAPI) -> None:
    async def ours(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, WorkbenchError)
        record = failure.record
        busy = isinstance(failure, Overloaded) or failure.status == 503
        headers = {"Retry-After": str(failure.details.get("retry_after", _RETRY_SECONDS))} if busy else None
        body = failure_body(record.code, record.message, record.hint, record.details)
        return JSONResponse(body, failure.status, headers)

    async def theirs(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        return JSONResponse(failure_body("http_error", str(failure.detail)), failure.status_code, failure.headers)

    async def invalid(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, RequestValidationError)
        first = failure.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(failure_body("bad_request", f"{where}: {first['msg']}."), 422)

    async def defect(request: Request, failure: Exception) -> Response:
        log.error("A request hit a defect.", exc_info=failure)
        record = InternalError().record
        return JSONResponse(failure_body(record.code, record.message, record.hint), 500)

    app.add_exception_handler(WorkbenchError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, defect)
