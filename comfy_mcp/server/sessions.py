"""Streamable HTTP for both protocol eras: sessions that outlive a restart, and one body or a stream as each call needs.

Owns which request belongs to which session. The session id is signed and says who the client is, so that a session
that is no longer in memory, after a restart or a long pause, is taken up again instead of refused: chats that keep
their session for days do not recover from a refusal. The SDK's transport does the protocol inside a session.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comfy_mcp.callers import principal_of
from comfy_mcp.errors import BadRequest, UnsupportedType
from comfy_mcp.server.one_answer import fold
from comfy_mcp.signing import Signer
from comfy_mcp.strict_json import read_body
from comfy_mcp.tasks import background

__all__ = ["Sessions"]

log = logging.getLogger(__name__)

_PURPOSE = "mcp-session"
_IDLE_SECONDS = 600.0
_MOST_SESSIONS = 500
_MOST_ENDED = 10_000
_MOST_CAPABILITIES = 1_024


@dataclass(slots=True)
class _Session:
    transport: StreamableHTTPServerTransport
    principal: str
    busy: int = 0


class Sessions:
    """An ASGI app for the MCP endpoint. `run` must be entered around it; ``on_end`` is told which session is over."""

    def __init__(
        self, server: Server[Any], signer: Signer, *, max_body: int, on_end: Callable[[str], None] = lambda name: None
    ) -> None:
        self._server = server
        self._on_end = on_end
        self._signer = signer
        # Serves the era without sessions (2026-07-28 on); it routes by the same header as we do.
        self._stateless = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=max_body)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._opening = anyio.Lock()
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Keep sessions alive for the length of the block."""
        async with self._stateless.run(), background() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            body = await Request(scope, receive).body() if scope["method"] == "POST" else b""
        except ClientDisconnect:
            return
        try:
            message = await _read(headers, body) if scope["method"] == "POST" else {}
        except BadRequest as failure:
            await _refusal(failure.status, str(failure))(scope, receive, send)
            return
        receive = _replay(body, receive)
        app, session = self._stateless.handle_request, None
        version = headers.get("mcp-protocol-version")
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            session = await self._session(scope["method"], headers, message, principal_of(scope).name)
            if isinstance(session, JSONResponse):
                await session(scope, receive, send)
                return
            app = self._serving(session)
        if scope["method"] != "POST":
            await app(scope, receive, send)
            return
        call = _Call(receive, send)
        await fold(app, scope, call.receive, call.send, message.get("id"))
        if call.hung_up and session is not None and {"id", "method"} <= message.keys():
            # Later eras end the call with the connection. Here nobody would, and nobody can get the answer any more.
            reason = {"requestId": message["id"], "reason": "The client hung up."}
            await _say(session.transport, {"method": "notifications/cancelled", "params": reason})

    def _serving(self, session: _Session) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            session.busy += 1
            try:
                await session.transport.handle_request(scope, receive, send)
            finally:
                session.busy -= 1
                if session.transport.is_terminated and session.transport.mcp_session_id in self._sessions:
                    self._forget(session.transport.mcp_session_id, ended=True)

        return serve

    async def _session(
        self, method: str, headers: Headers, message: Mapping[str, Any], principal: str
    ) -> _Session | JSONResponse:
        """The session a request belongs to: in memory, taken up again, or new; or the refusal.

        To all but the ``principal`` who opened it there is no such session.
        """
        name = headers.get("mcp-session-id")
        async with self._opening:
            if name is None:
                if message.get("method") != "initialize":
                    return _refusal(400, "The session id is missing: send initialize first.")
                return await self._open(self._mint(message.get("params"), principal), principal)
            if (known := self._sessions.get(name)) is not None and known.principal == principal:
                self._sessions.move_to_end(name)
                return known
            client = None if known is not None or name in self._ended else self._signer.read(_PURPOSE, name)
            if not isinstance(client, dict) or cast(dict[str, Any], client).get("principal") != principal:
                return _refusal(404, "Session not found")
            session = await self._open(name, principal)
            if method != "DELETE":
                await _greet(session.transport, cast(dict[str, Any], client))
            return session

    def _mint(self, params: object, principal: str) -> str:
        """A session id that holds whose it is, and what the client said of itself."""
        told = cast(dict[str, Any], params) if isinstance(params, dict) else {}
        info = told.get("clientInfo")
        info = cast(dict[str, Any], info) if isinstance(info, dict) else {}
        capabilities = told.get("capabilities")
        if len(json.dumps(capabilities)) > _MOST_CAPABILITIES:
            capabilities = {}
        client: dict[str, Any] = {
            "version": str(told.get("protocolVersion", ""))[:32],
            "name": str(info.get("name", ""))[:64],
            "client": str(info.get("version", ""))[:32],
            "capabilities": capabilities or {},
            "principal": principal,
            "nonce": secrets.token_urlsafe(16),
        }
        return self._signer.sign(_PURPOSE, client)

    async def _open(self, name: str, principal: str) -> _Session:
        assert self._tasks is not None, "run() is not entered"
        while len(self._sessions) >= _MOST_SESSIONS and (idle := self._idlest()) is not None:
            transport = self._sessions[idle].transport
            self._forget(idle)
            await transport.terminate()
        session = _Session(StreamableHTTPServerTransport(name, idle_timeout=_IDLE_SECONDS), principal)
        self._sessions[name] = session
        await self._tasks.start(self._serve, name, session.transport)
        return session

    def _idlest(self) -> str | None:
        """The session that was quiet longest. It can be closed: its client's next call takes it up again."""
        return next((name for name, session in self._sessions.items() if not session.busy), None)

    def _forget(self, name: str, *, ended: bool = False) -> None:
        self._sessions.pop(name, None)
        if ended:
            self._ended[name] = None
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)

    async def _serve(
        self, name: str, transport: StreamableHTTPServerTransport, *, task_status: TaskStatus[None]
    ) -> None:
        try:
            async with transport.connect() as (incoming, outgoing):
                task_status.started()
                with transport.idle_scope or anyio.CancelScope():
                    await self._server.run(incoming, outgoing, self._server.create_initialization_options())
        except Exception:
            log.exception("A session broke.")
        finally:
            if (session := self._sessions.get(name)) is not None and session.transport is transport:
                self._forget(name)
            self._on_end(name)
            with anyio.CancelScope(shield=True):
                await transport.terminate()


class _Call:
    """One request and its answer, and whether the client ended the connection in between."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._answered = False
        self.hung_up = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.hung_up = self.hung_up or (message["type"] == "http.disconnect" and not self._answered)
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        self._answered = message["type"] == "http.response.body" and not message.get("more_body", False)


async def _greet(transport: StreamableHTTPServerTransport, client: Mapping[str, Any]) -> None:
    """Repeat the handshake that the client made with an earlier process, in its name."""
    params = {
        "protocolVersion": client["version"],
        "clientInfo": {"name": client["name"], "version": client["client"]},
        "capabilities": client["capabilities"],
    }
    await _say(transport, {"id": "resumed", "method": "initialize", "params": params})
    await _say(transport, {"method": "notifications/initialized"})


async def _say(transport: StreamableHTTPServerTransport, message: Mapping[str, Any]) -> None:
    """Say something to the server in the name of the client of this session."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "headers": [
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
            (b"mcp-session-id", (transport.mcp_session_id or "").encode()),
        ],
    }
    await transport.handle_request(scope, _replay(body, _never), _ignore)


async def _never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def _ignore(message: Message) -> None:
    return


def _replay(body: bytes, receive: Receive) -> Receive:
    """``receive`` with the body that was read already put back in front."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _read(headers: Headers, body: bytes) -> dict[str, Any]:
    """The JSON-RPC message (https://www.jsonrpc.org/specification, sections 4 and 5). Raises BadRequest."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedType("The body is not sent as JSON.", hint="Send it with Content-Type: application/json.")
    told = await read_body(body)
    message = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    answers = "result" in message or "error" in message
    names = isinstance(message.get("method"), str) and isinstance(message.get("params", {}), dict)
    known = isinstance(message.get("id", ""), str | int) and not isinstance(message.get("id"), bool)
    if message.get("jsonrpc") != "2.0" or not known or not (names or (answers and "method" not in message)):
        raise BadRequest("This is no JSON-RPC message.", hint='Send {"jsonrpc": "2.0", "id": …, "method": …}.')
    return message


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": message}}, status)
