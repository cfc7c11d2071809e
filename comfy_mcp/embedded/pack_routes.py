# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""The routes that packs add: written for aiohttp, served by Starlette.

Owns the table that `PromptServer.instance.routes` is, and the little of a request and an answer that such handlers
use. An answer is told by what it has (status, headers, body), so that aiohttp need not be there.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from comfy_mcp.embedded.bodies import read_body

__all__ = ["RouteTable"]

_log = logging.getLogger(__name__)

Handler = Callable[["PackRequest"], Awaitable[Any]]
Served = Callable[[Request], Awaitable[Response]]


class PackBody:
    """The body of a request, piece by piece."""

    def __init__(self, request: Request) -> None:
        self._parts, self._held = request.stream(), b""

    async def read(self, most: int) -> bytes:
        """What has come, up to this many bytes; nothing only at the end."""
        while not self._held and (part := await anext(self._parts, None)) is not None:
            self._held = part
        piece, self._held = self._held[:most], self._held[most:]
        return piece


class PackRequest:
    """A request as a handler for aiohttp reads it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.method, self.path = request.method, request.url.path
        self.headers: Mapping[str, str] = request.headers
        self.query: Mapping[str, str] = request.query_params
        self.match_info: Mapping[str, str] = request.path_params
        self.content = PackBody(request)

    async def read(self) -> bytes:
        return await read_body(self._request)

    async def text(self) -> str:
        return (await self.read()).decode()

    async def json(self) -> Any:
        return json.loads(await self.read())


class RouteTable:
    """aiohttp's table of routes, with its decorators."""

    def __init__(self) -> None:
        self._table: list[tuple[str, str, Served]] = []

    def route(self, method: str, path: str) -> Callable[[Handler], Handler]:
        def add(handler: Handler) -> Handler:
            # A pattern may have slashes in it; what it means exactly is left to the handler.
            self._table.append((re.sub(r"\{(\w+):[^{}]*\}", r"{\1:path}", path), method, _served(handler)))
            return handler

        return add

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self.route("GET", path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        return self.route("POST", path)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        return self.route("PUT", path)

    def patch(self, path: str) -> Callable[[Handler], Handler]:
        return self.route("PATCH", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        return self.route("DELETE", path)

    def listed(self) -> list[tuple[str, str, Served]]:
        """Path, method and handler of each route."""
        return list(self._table)


def _served(handler: Handler) -> Served:
    async def serve(request: Request) -> Response:
        try:
            return _response(await handler(PackRequest(request)))
        except HTTPException:
            raise
        except Exception as raised:  # noqa: BLE001 - a handler of a pack may raise anything; others go on
            # aiohttp's `HTTPNotFound` and its like are answers that are raised.
            if hasattr(raised, "status") and hasattr(raised, "body"):
                return _response(raised)
            _log.exception("The handler of %s failed.", request.url.path)
            return PlainTextResponse("500 Internal Server Error", 500)

    return serve


def _response(answer: Any) -> Response:
    body = answer.body
    if body is not None and not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"This engine cannot send a body of {type(body).__name__}.")
    response = Response(b"" if body is None else bytes(body), answer.status)
    for name, value in answer.headers.items():
        if name.lower() != "content-length":
            response.headers.append(name, value)
    return response
