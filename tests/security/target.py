"""A workbench on a socket that hostile requests are sent to, and what must not become of one."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.bridge.servers import Script
from tests.security.wire import Vector, ask, flaws, refused
from tests.texts import CHAT, text_server
from tests.workbenches import served

__all__ = ["Target", "problems", "target"]

_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "hostile", "version": "1"},
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """An engine and a language model are behind it. ``session`` is that of a client of MCP."""

    address: str
    database: Path
    llm: Script
    client: httpx.AsyncClient
    session: str

    @property
    def made(self) -> tuple[int, int, int]:
        """Jobs that were taken, pictures that were kept for some, and chats that were begun."""
        with closing(sqlite3.connect(self.database)) as database:
            (jobs,) = database.execute("SELECT count(*) FROM job").fetchone()
            (pictures,) = database.execute("SELECT count(*) FROM asset WHERE job IS NULL").fetchone()
        return jobs, pictures, len(self.llm.bodies(CHAT))

    async def end(self, place: str) -> None:
        """Stop a job or a comparison that was taken, so that what comes of it later is not laid on another request."""
        told: Any = (await self.client.delete(place)).json()
        with anyio.fail_after(10):
            while told["state"] in ("queued", "running", "judging"):
                await anyio.sleep(0.005)
                told = (await self.client.get(place)).json()
            while (await self.client.get("/api/v1/queue")).json()["jobs"]:
                await anyio.sleep(0.005)
            if "/compare/" in place:
                await self._rest()

    async def _rest(self) -> None:
        """Until nothing comes any more: what a cancelled comparison was just handing in is taken, then stopped."""
        last: tuple[int, int, int] | None = None
        while last != self.made:
            last = self.made
            await anyio.sleep(0.2)


@asynccontextmanager
async def target(data: Path, comfyui: str, **more: Any) -> AsyncGenerator[Target]:
    async with (
        text_server() as llm,
        served(data, comfyui, llm_url=llm.url, rate=0, comfyui_routes=True, **more) as client,
    ):
        headers = {"Accept": "application/json, text/event-stream"}
        hello = await client.post("/mcp", json=_INITIALIZE, headers=headers)
        session = hello.headers["mcp-session-id"]
        yield Target(str(client.base_url).rstrip("/"), data / "workbench.sqlite3", llm, client, session)


async def problems(target: Target, vector: Vector) -> list[str]:
    """What became of it that must not."""
    before = target.made
    if vector.path == "/mcp":
        vector = replace(vector, headers={**vector.headers, "Mcp-Session-Id": target.session})
    try:
        answer = await ask(target.address, vector)
    except TimeoutError:
        # A picture that is made may take that long.
        return ["hangs"] if target.made == before else []
    found = flaws(vector, answer)
    if refused(answer):
        return [*found, "is refused and yet made"] if target.made != before else found
    if vector.refused:
        found.append(f"is answered with {answer.status}: {answer.body[:200]!r}")
    if place := answer.headers.get("location"):
        await target.end(place)
    return found
