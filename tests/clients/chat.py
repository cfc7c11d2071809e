"""One chat built with the official Python client, told what to do in lines of JSON; `process` is the other end.

Runs by itself, in the environment of the client's release: `python chat.py 1` with mcp 1.x, as Open WebUI has it, and
`python chat.py 2` with mcp 2.x. Both are `Any` here, since a type checker knows only one of them.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio

LINE = sys.argv[1]
mcp: Any = importlib.import_module("mcp")
http: Any = importlib.import_module("mcp.client.streamable_http")
stdio: Any = importlib.import_module("mcp.client.stdio")


def _stdio_server(order: dict[str, Any]) -> Any:
    command = order["command"]
    return stdio.StdioServerParameters(command=command[0], args=command[1:], env=order["env"])


@asynccontextmanager
async def _first_line(order: dict[str, Any]) -> AsyncGenerator[Any]:
    url = order["url"]
    opened = http.streamable_http_client(url) if url else stdio.stdio_client(_stdio_server(order))
    async with opened as streams, mcp.ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        yield session


def _second_line(order: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
    return mcp.Client(order["url"] or _stdio_server(order), mode="auto" if order["modern"] else "legacy")


class Chat:
    """Carries out orders, any number at a time."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks
        self._client: Any = None
        self._leaving = anyio.Event()
        self._left = anyio.Event()
        self._running: dict[int, anyio.CancelScope] = {}

    async def obey(self, order: dict[str, Any]) -> None:
        try:
            answer: dict[str, Any] = await getattr(self, order["do"])(order)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test is to hear of it
            answer = {"failed": repr(failure)}
        sys.stdout.write(json.dumps({"id": order["id"], **answer}) + "\n")
        sys.stdout.flush()

    async def connect(self, order: dict[str, Any]) -> dict[str, Any]:
        self._leaving, self._left = anyio.Event(), anyio.Event()
        await self._tasks.start(self._stay, order)
        return {"version": getattr(self._client, "protocol_version", None)}

    async def _stay(self, order: dict[str, Any], *, task_status: Any) -> None:
        """Entered and left in one task, as the client wants it."""
        leaving, left = self._leaving, self._left
        try:
            async with _first_line(order) if LINE == "1" else _second_line(order) as self._client:
                task_status.started()
                await leaving.wait()
        except Exception:
            # An answer that comes while the chat is left makes both lines raise, out of their own tasks.
            if not leaving.is_set():
                raise
        finally:
            left.set()

    async def list(self, order: dict[str, Any]) -> dict[str, Any]:
        return {"tools": [tool.name for tool in (await self._client.list_tools()).tools]}

    async def call(self, order: dict[str, Any]) -> dict[str, Any]:
        heard: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        seconds, number = order["timeout"], order["id"]
        patience = timedelta(seconds=seconds) if seconds and LINE == "1" else seconds
        with anyio.CancelScope() as scope:
            self._running[number] = scope
            result = await self._client.call_tool(
                order["name"],
                order["arguments"],
                read_timeout_seconds=patience,
                progress_callback=hear if order["progress"] else None,
            )
            told = result.model_dump(by_alias=True, mode="json", exclude_none=True)
            return {"content": told["content"], "error": told["isError"], "progress": heard}
        return {"failed": "cancelled"}

    async def abandon(self, order: dict[str, Any]) -> dict[str, Any]:
        self._running[order["call"]].cancel()
        return {}

    async def leave(self, order: dict[str, Any]) -> dict[str, Any]:
        if LINE == "1":
            # A call that is open when 1.x is left never ends, so whoever leaves has given it up before.
            for scope in self._running.values():
                scope.cancel()
        self._leaving.set()
        await self._left.wait()
        return {}


async def main() -> None:
    orders = anyio.wrap_file(sys.stdin)
    async with anyio.create_task_group() as tasks:
        chat = Chat(tasks)
        async for line in orders:
            tasks.start_soon(chat.obey, json.loads(line))
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
