"""A scripted LLM server on a real socket: it answers, stalls, breaks off and resets exactly as a test tells it to.

Knows HTTP/1.1 and nothing of any dialect. It runs on the test's own event loop, so that events tell what happened.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Answer", "End", "Received", "Script", "busy_port", "chunk", "json_answer", "scripted", "sse", "stream"]


class End(Enum):
    """How an answer ends before its end."""

    RESET = "the connection is reset (RST)"
    CLOSE = "the connection is closed"
    HANG = "nothing more comes until the client goes away"


Step = bytes | float | asyncio.Event | End
"""Bytes are sent, a number is a pause in seconds, an event is waited for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``steps`` make the body, each of bytes in a packet of its own. ``chunked`` False sends it up to the close.

    ``early`` are steps before the status line. ``closes`` closes a whole answer's connection without saying so.
    """

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    early: tuple[Step, ...] = ()
    chunked: bool = True
    closes: bool = False

    @property
    def head(self) -> bytes:
        framing = "Transfer-Encoding: chunked" if self.chunked else "Connection: close"
        lines = [
            f"HTTP/1.1 {self.status} Scripted",
            framing,
            *(f"{name}: {told}" for name, told in self.headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Rule = Answer | Callable[[Received], Answer]


class _Gone(Exception):
    """The client went away."""


class Script:
    """What the server answers, and what it saw. Set rules with `on`; what has none is 404."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.connections = 0
        self.opened = 0
        self.most = 0
        self.aborted = asyncio.Event()
        """Set when a client went away while it was being answered."""
        self.asked = asyncio.Event()
        """Set when a request has come."""
        self._rules: dict[str, list[Rule]] = {}

    def on(self, route: str, *rules: Rule) -> None:
        """The answers to "METHOD /path", one after the other; the last one stays. The query is not looked at."""
        self._rules[route] = list(rules)

    def bodies(self, route: str) -> list[Any]:
        """The JSON of all requests to "METHOD /path"."""
        return [each.json for each in self.received if f"{each.method} {each.path.partition('?')[0]}" == route]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.opened += 1
        self.most = max(self.most, self.connections)
        try:
            while (received := await _request(reader)) is not None:
                self.received.append(received)
                self.asked.set()
                if not await self._answered(self._answer(received), reader, writer):
                    return
        except (_Gone, ConnectionError, asyncio.IncompleteReadError):
            self.aborted.set()
        finally:
            self.connections -= 1
            writer.close()

    def _answer(self, received: Received) -> Answer:
        rules = self._rules.get(f"{received.method} {received.path.partition('?')[0]}")
        if not rules:
            return json_answer({"error": {"message": "File Not Found", "type": "not_found_error"}}, 404)
        rule = rules.pop(0) if len(rules) > 1 else rules[0]
        return rule if isinstance(rule, Answer) else rule(received)

    async def _answered(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        gone = asyncio.create_task(reader.read(1))
        try:
            for step in answer.early:
                if not await _step(step, writer, gone, chunked=False):
                    return False
            writer.write(answer.head)
            for step in answer.steps:
                if not await _step(step, writer, gone, chunked=answer.chunked):
                    return False
            if answer.chunked:
                writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            gone.cancel()
            await asyncio.wait([gone])
        return answer.chunked and not answer.closes


async def _step(step: Step, writer: asyncio.StreamWriter, gone: asyncio.Task[bytes], *, chunked: bool) -> bool:
    """Whether the answer goes on after it. Raises _Gone when the client does not wait for it."""
    if isinstance(step, bytes):
        writer.write(b"%x\r\n%s\r\n" % (len(step), step) if chunked and step else step)
        await writer.drain()
        await asyncio.sleep(0)
        return True
    if step is End.RESET:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False
    if step is End.CLOSE:
        return False
    waiting = asyncio.create_task(_passed(step))
    try:
        await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise _Gone
    finally:
        waiting.cancel()
    return True


async def _passed(step: float | asyncio.Event | End) -> None:
    if isinstance(step, asyncio.Event):
        await step.wait()
    else:
        await asyncio.sleep(3600 if isinstance(step, End) else step)


async def _request(reader: asyncio.StreamReader) -> Received | None:
    """The next request; None when the client is done."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): told.strip() for name, _, told in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ", 2)
    return Received(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def scripted(route: str = "", *rules: Rule) -> AsyncGenerator[Script]:
    """A server that listens on ``script.url``, with a first rule if there is one."""
    script = Script()
    if route:
        script.on(route, *rules)
    serving: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(script.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**24, backlog=1024)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        # asyncio drops a connection that it is just accepting when the server closes, without closing it.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        await asyncio.sleep(0)
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@contextmanager
def busy_port() -> Generator[str]:
    """The address of a port whose queue of connections is full, so that connecting to it gets no answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer; header names have underscores for hyphens."""
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): told for name, told in headers.items()}}
    return Answer((json.dumps(value).encode(),), status, named)


def stream(*steps: Step, chunked: bool = True, closes: bool = False, kind: str = "text/event-stream") -> Answer:
    """An answer that comes in steps."""
    return Answer(steps, 200, {"Content-Type": kind}, chunked=chunked, closes=closes)


def sse(*values: Any, done: bool = True) -> bytes:
    """Server-Sent Events of JSON values, and `[DONE]`."""
    events = [f"data: {json.dumps(value)}\n\n" for value in values]
    return "".join(events + ["data: [DONE]\n\n"] * done).encode()


def chunk(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chat completion chunk; ``delta`` are more of its fields."""
    said = {} if text is None else {"content": text}
    return {"model": "m", "choices": [{"index": 0, "delta": said | delta, "finish_reason": finish}]}
