"""A server on this machine that nobody may be led to: it counts who asks, and answers as it is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

__all__ = ["PICTURE", "Canary", "listening_canary", "moved", "ok"]

PICTURE = b"\x89PNG and so on"


@dataclass
class Canary:
    """``asked`` is every request that reached it; ``answers`` come one after the other, then a picture."""

    port: int = 0
    answers: list[bytes] = field(default_factory=list[bytes])
    asked: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: Any) -> None:
        self.connections += 1
        async with stream:
            try:
                self.asked.append(await stream.receive(65_536))
                await stream.send(self.answers.pop(0) if self.answers else ok(PICTURE))
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def moved(place: str, status: int = 302) -> bytes:
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {place}\r\nset-cookie: a=b\r\n"
    return f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode()


@asynccontextmanager
async def listening_canary() -> AsyncGenerator[Canary]:
    canary = Canary()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        canary.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, canary.serve)
        yield canary
        tasks.cancel_scope.cancel()
