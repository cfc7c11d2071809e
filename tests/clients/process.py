"""The official client libraries, each in a process of its own that a test gives orders to and may kill.

Owns the lines of JSON to `chat.mjs` and `chat.py`. What a client is asked to do is in the tests.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from PIL import Image

from tests.conformance.node import tool_path

__all__ = ["CLIENTS", "Answer", "Chat", "ChatFailed", "Kind", "started"]

HERE = Path(__file__).parent
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Kind:
    """A library, and the protocol era that it is to speak: ``modern`` has no sessions.

    ``silent`` says nothing to the server when a call is given up, only when the chat is left.
    """

    library: str
    modern: bool = False
    silent: bool = False


CLIENTS = {
    "ts-1": Kind("sdk"),  # LibreChat, LobeHub
    "ts-2": Kind("client"),
    "ts-2-modern": Kind("client", modern=True),
    "py-1": Kind("1", silent=True),  # Open WebUI
    "py-2": Kind("2"),
    "py-2-modern": Kind("2", modern=True),
}


class ChatFailed(Exception):
    """What the client library raised, as text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered: ``raw`` are the bytes of its pictures, ``progress`` what was heard before."""

    text: str
    raw: Sequence[bytes]
    error: bool
    progress: Sequence[float]

    @property
    def pictures(self) -> Sequence[Image.Image]:
        opened = [Image.open(io.BytesIO(data)) for data in self.raw]
        for picture in opened:
            picture.load()
        return opened


@dataclass(slots=True)
class Chat:
    """One client library in its process; connects to one server at a time."""

    process: Process
    kind: Kind
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _answers: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    _events: dict[int, anyio.Event] = field(default_factory=dict[int, anyio.Event])

    async def read(self) -> None:
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        try:
            while True:
                answer = json.loads(await lines.receive_until(b"\n", 2**26))
                self._answers[answer["id"]] = answer
                self._events[answer["id"]].set()
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError):
            for number, event in self._events.items():
                self._answers.setdefault(number, {"failed": "The client's process ended."})
                event.set()

    async def order(self, do: str, *, number: int | None = None, **more: Any) -> dict[str, Any]:
        number = self.number() if number is None else number
        event = self._events[number] = anyio.Event()
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps({"id": number, "do": do, **more}).encode() + b"\n")
        with anyio.fail_after(SECONDS):
            await event.wait()
        answer = self._answers.pop(number)
        if "failed" in answer:
            raise ChatFailed(answer["failed"])
        return answer

    def number(self) -> int:
        return next(self._numbers)

    async def connect(self, url: str | None = None, *, command: Sequence[str] = (), **env: str) -> None:
        """To a URL, or to a server that is started with ``command``."""
        known = {**os.environ, **env}
        modern = self.kind.modern
        told = await self.order("connect", url=url, command=list(command), env=known, modern=modern)
        assert not modern or told["version"] == "2026-07-28"

    async def tools(self) -> list[str]:
        return (await self.order("list"))["tools"]

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        progress: bool = False,
        timeout: float | None = None,
        number: int | None = None,
    ) -> Answer:
        """Raises ChatFailed when the client does, not when the tool answers with an error."""
        asked = {"name": name, "arguments": arguments, "progress": progress, "timeout": timeout}
        told = await self.order("call", number=number, **asked)
        texts = [block["text"] for block in told["content"] if block["type"] == "text"]
        data = [base64.b64decode(block["data"], validate=True) for block in told["content"] if block["type"] == "image"]
        return Answer("\n".join(texts), data, told["error"], told["progress"])

    async def abandon(self, call: int) -> None:
        """Give up the call of this number, as its chat lets a person do."""
        await self.order("abandon", call=call)

    async def leave(self) -> None:
        await self.order("leave")


def _command(library: str) -> list[str]:
    if library in ("sdk", "client"):
        folder = tool_path("WORKBENCH_TEST_APPS_MODULES", "")
        return [os.environ["WORKBENCH_TEST_NODE"], str(HERE / "chat.mjs"), library, str(folder)]
    python = sys.executable if library == "2" else os.environ.get("WORKBENCH_TEST_MCP1")
    if python is None:
        pytest.skip("needs mcp 1.x in an environment of its own: set WORKBENCH_TEST_MCP1, as .ci/run does")
    return [python, str(HERE / "chat.py"), library]


@asynccontextmanager
async def started(kind: Kind) -> AsyncGenerator[Chat]:
    """A process with the library of this kind; skips, loudly, when it is not installed."""
    process = await anyio.open_process(_command(kind.library), stderr=subprocess.DEVNULL)
    chat = Chat(process, kind)
    # A plain task: processes are started and ended in any order, which task groups of one task cannot be.
    reading = asyncio.create_task(chat.read())
    try:
        yield chat
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
        await process.aclose()
