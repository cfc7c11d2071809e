"""Sends a request byte by byte as it is told, and reads what comes back: no client mends what is wrong with it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import anyio
import h11
from anyio.abc import ByteStream

__all__ = ["LEAKS", "Answer", "Vector", "ask", "flaws", "refused"]

LEAKS = re.compile(
    r"Traceback \(most|File \"|\.py\b|site-packages|/(?:root|home|work|usr|tmp|var|etc|opt)/"
    r"|\b(?:sqlite3?|pydantic|starlette|fastapi|uvicorn|PIL)\b|[A-Z][A-Za-z]+Error\(",
)
"""What an answer never says: where our files lie, and what we are made of."""
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Vector:
    """A request as it is sent. Of ``refused`` ones the answer is 4xx."""

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 when the connection was closed without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


async def ask(address: str, vector: Vector) -> Answer:
    """One request on a connection of its own. Raises TimeoutError when its answer takes more than five seconds."""
    host = address.removeprefix("http://")
    given = {"Host": host, "Connection": "close", "Content-Length": str(len(vector.body)), **vector.headers}
    lines = [f"{vector.method} {vector.path} HTTP/1.1", *(f"{name}: {told}" for name, told in given.items()), "", ""]
    sent = "\r\n".join(lines).encode("latin-1", "replace") + vector.body
    name, _, port = host.partition(":")
    started, status, told, content = time.monotonic(), 0, dict[str, str](), b""
    with anyio.fail_after(_SECONDS):
        async with await anyio.connect_tcp(name, int(port)) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(_send, stream, sent)
            status, told, content = await _answer(stream)
            tasks.cancel_scope.cancel()
    return Answer(status, told, content, time.monotonic() - started)


async def _send(stream: ByteStream, data: bytes) -> None:
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # refused before it was read


async def _answer(stream: ByteStream) -> tuple[int, dict[str, str], bytes]:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    status, headers, body = 0, dict[str, str](), bytearray()
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            try:
                parser.receive_data(await stream.receive(2**20))
            except anyio.EndOfStream:
                parser.receive_data(b"")
            except anyio.BrokenResourceError:
                return status, headers, bytes(body)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode().lower(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return status, headers, bytes(body)


def refused(answer: Answer) -> bool:
    """Whether nothing may have come of the request: by its status or, in a call of a tool, by its result."""
    if not 200 <= answer.status < 300:
        return True
    told = _read(answer)
    return "jsonrpc" in told and ("error" in told or told.get("result", {}).get("isError", False))


def flaws(vector: Vector, answer: Answer) -> list[str]:
    """What is wrong with how a request was answered or refused."""
    text, found = answer.body.decode("utf-8", "replace"), list[str]()
    if answer.status >= 500 and answer.status not in (501, 503):
        found.append(f"status {answer.status}")
    if _INTERNAL in text:
        found.append("an internal error of JSON-RPC")
    if not refused(answer):
        return found
    # What was sent may be told.
    sent = unquote(unquote(vector.path)) + vector.body.decode("utf-8", "replace")
    leaks = [leak for leak in LEAKS.findall(text) if leak not in sent]
    found += [f"tells {leak!r}" for leak in leaks[:1]]
    if answer.status >= 400 and answer.body not in _PLAIN and not _shaped(vector.path, _read(answer)):
        found.append("is not worded as a failure of ours")
    return found


def _read(answer: Answer) -> dict[str, Any]:
    """Its JSON object, or that of the last event of a stream; empty without one."""
    text = answer.body.decode("utf-8", "replace")
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        text = next((line[5:] for line in reversed(text.splitlines()) if line.startswith("data:")), "")
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


_PLAIN = (b"Invalid HTTP request received.", b"")
"""What is no HTTP never reaches our words."""
_INTERNAL = '"code":-32603'


def _shaped(path: str, told: dict[str, Any]) -> bool:
    if path.startswith("/mcp"):
        return "error" in told
    if path.startswith("/sdapi/"):
        return {"error", "detail"} <= told.keys()
    error = told.get("error", {})
    return "message" in error and bool({"code", "type"} & error.keys())
