"""What the workbench adds to ComfyUI: the same small job through MCP over HTTP and by hand, in one run.

The job needs no model: EmptyImage → PreviewImage, 512 px, a new colour each time, so that nothing is cached. By hand
means POST /prompt, the WebSocket, and /view, with everything kept open that can be. The two take turns, so that a slow
moment of the machine hits both.

    python benchmarks/overhead.py [--jobs 100] [--comfyui URL]

Without --comfyui an embedded engine is started. Prints one JSON object: milliseconds at p50 and p95, their difference,
and the ratio.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import websockets
from mcp import Client
from mcp_types import ImageContent

SIZE = 512
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": SIZE, "height": SIZE, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
MANIFEST = """
title = "Plain colour"
description = "One plain picture."
[parameters.color]
type = "int"
bind = "EmptyImage#1.color"
default = 0
min = 0
max = 16777215
"""


class ByHand:
    """ComfyUI's own protocol with nothing around it."""

    def __init__(self, http: httpx.AsyncClient, socket: websockets.ClientConnection, client: str) -> None:
        self._http, self._socket, self._client = http, socket, client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncGenerator[ByHand]:
        client = uuid.uuid4().hex
        ws = url.replace("http", "ws", 1) + f"/ws?clientId={client}"
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
            websockets.connect(ws, max_size=None, compression=None) as socket,
        ):
            yield cls(http, socket, client)

    async def paint(self, color: int) -> bytes:
        graph = json.loads(json.dumps(GRAPH))
        graph["1"]["inputs"]["color"] = color
        return await self.run(graph)

    async def run(self, graph: dict[str, Any]) -> bytes:
        """The bytes of the one picture that the graph makes."""
        prompt_id = str(uuid.uuid4())
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": self._client}
        (await self._http.post("/prompt", json=body)).raise_for_status()
        image: dict[str, Any] = {}
        while True:
            received = await self._socket.recv()
            if isinstance(received, bytes):
                continue
            message = json.loads(received)
            if message["type"] == "executed":
                image = message["data"]["output"]["images"][0]
            if message["type"] == "executing" and message["data"]["node"] is None:
                break
        return (await self._http.get("/view", params=image)).raise_for_status().content


async def through_mcp(chat: Client, color: int) -> bytes:
    result = await chat.call_tool("plain_colour", {"color": color})
    pictures = [block for block in result.content if isinstance(block, ImageContent)]
    if not pictures:
        raise SystemExit(f"no picture: {result.content}")
    return base64.b64decode(pictures[0].data)


@asynccontextmanager
async def engine(*options: str) -> AsyncGenerator[str]:
    command = [sys.executable, "-m", "comfy_mcp.embedded", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@asynccontextmanager
async def workbench(comfyui: str, data: Path) -> AsyncGenerator[str]:
    """A workbench in a process of its own, as people run it."""
    template = data / "templates" / "plain_colour"
    template.mkdir(parents=True)
    (template / "workflow.json").write_text(json.dumps(GRAPH))
    (template / "manifest.toml").write_text(MANIFEST)
    env = {
        "WORKBENCH_COMFYUI_URL": comfyui,
        "WORKBENCH_DATA": str(data),
        "WORKBENCH_RATE": "0",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "comfy_mcp", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


async def measure(comfyui: str, jobs: int) -> dict[str, Any]:
    hand: list[float] = []
    mcp: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            workbench(comfyui, Path(folder)) as url,
            ByHand.open(comfyui) as raw,
            Client(url) as chat,
        ):
            for round_number in range(jobs + 5):
                colors = random.sample(range(1, 2**24), 2)
                started = time.perf_counter()
                await raw.paint(colors[0])
                between = time.perf_counter()
                await through_mcp(chat, colors[1])
                if round_number >= 5:
                    hand.append((between - started) * 1000)
                    mcp.append((time.perf_counter() - between) * 1000)
    p50 = statistics.median(hand), statistics.median(mcp)
    return {
        "jobs": jobs,
        "by_hand_ms": {"p50": round(p50[0], 2), "p95": round(statistics.quantiles(hand, n=20)[-1], 2)},
        "mcp_ms": {"p50": round(p50[1], 2), "p95": round(statistics.quantiles(mcp, n=20)[-1], 2)},
        "added_ms_p50": round(p50[1] - p50[0], 2),
        "ratio_p50": round(p50[1] / p50[0], 2),
    }


async def main(comfyui: str | None, jobs: int) -> None:
    if comfyui is not None:
        print(json.dumps({"comfyui": comfyui, **await measure(comfyui, jobs)}))
        return
    async with engine() as url:
        print(json.dumps({"comfyui": "embedded engine", **await measure(url, jobs)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the workbench adds to ComfyUI.")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--comfyui", help="address of a running ComfyUI; default: an embedded engine")
    told = parser.parse_args()
    anyio.run(main, told.comfyui, told.jobs)
