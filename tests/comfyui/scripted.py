"""A ComfyUI that misbehaves on purpose, over real sockets: each lever is one trap of the protocol."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

__all__ = ["PNG", "Scripted", "scripted"]

_encoded = io.BytesIO()
Image.effect_noise((32, 32), 50).save(_encoded, "PNG")
PNG = _encoded.getvalue()


@dataclass
class Scripted:
    """The levers, and what was seen."""

    url: str = ""
    events: Callable[[Scripted, str], list[Any]] = lambda server, prompt_id: server.usual(prompt_id)
    history_delay: float = 0.0
    status: dict[str, Any] = field(default_factory=lambda: {"status_str": "success", "messages": []})
    outputs: dict[str, Any] = field(default_factory=lambda: {"2": {"images": [{"filename": "a.png", "type": "temp"}]}})
    answer: Response | None = None
    answer_late: float = 0.0
    forgets: bool = False
    cut_views: int = 0
    refuse_socket: bool = False
    atomic_cancel: bool = False
    seen: list[str] = field(default_factory=list[str])
    clients: list[str] = field(default_factory=list[str])
    submitted: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    history: dict[str, Any] = field(default_factory=dict[str, Any])
    pending: list[str] = field(default_factory=list[str])
    running: list[str] = field(default_factory=list[str])
    failing: dict[str, list[Response | None]] = field(default_factory=dict[str, list[Response | None]])
    asked: list[str] = field(default_factory=list[str])
    sockets: dict[str, WebSocket] = field(default_factory=dict[str, WebSocket])
    greeting: list[Any] = field(default_factory=list[Any])

    def usual(self, prompt_id: str) -> list[Any]:
        told = {"prompt_id": prompt_id}
        return [
            {"type": "execution_start", "data": told},
            {"type": "execution_cached", "data": {**told, "nodes": []}},
            {"type": "executing", "data": {**told, "node": "1"}},
            {"type": "executing", "data": {**told, "node": "2"}},
            {"type": "execution_success", "data": told},
            {"type": "executing", "data": {**told, "node": None}},
        ]

    async def play(self, prompt_id: str, client: str) -> None:
        websocket = self.sockets.get(client)
        for event in self.events(self, prompt_id):
            if event == "history":
                self.remember(prompt_id)
            elif isinstance(event, float):
                await asyncio.sleep(event)
            elif event == "close" and websocket is not None:
                await websocket.close()
                websocket = None
            elif websocket is not None:
                await (
                    websocket.send_bytes(event) if isinstance(event, bytes) else websocket.send_text(json.dumps(event))
                )
        await asyncio.sleep(self.history_delay)
        if not self.forgets:
            self.remember(prompt_id)

    def remember(self, prompt_id: str) -> None:
        if prompt_id in self.pending:
            self.pending.remove(prompt_id)
        self.history[prompt_id] = {"outputs": self.outputs, "status": self.status}


def frame(node: str, prompt_id: str, data: bytes) -> bytes:
    """A picture with metadata (event 4)."""
    told = json.dumps({"node_id": node, "prompt_id": prompt_id, "image_type": "image/png"}).encode()
    return struct.pack(">II", 4, len(told)) + told + data


def _app(server: Scripted) -> Starlette:
    async def prompt(request: Request) -> Response:
        body = await request.json()
        server.submitted.append(body)
        if server.answer is not None and server.answer.status_code != 200:
            return server.answer
        server.pending.append(body["prompt_id"])
        task = asyncio.create_task(server.play(body["prompt_id"], body["client_id"]))
        request.app.state.tasks = [*getattr(request.app.state, "tasks", []), task]
        await asyncio.sleep(server.answer_late)
        return server.answer or JSONResponse({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})

    async def queue(request: Request) -> Response:
        if request.method == "POST":
            for prompt_id in (await request.json())["delete"]:
                server.seen.append(f"delete {prompt_id}")
                if prompt_id in server.pending:
                    server.pending.remove(prompt_id)
            return Response()
        items: list[Any] = [[number, prompt_id, {}, {}, []] for number, prompt_id in enumerate(server.pending)]
        running: list[Any] = [[0, prompt_id, {}, {}, []] for prompt_id in server.running]
        return JSONResponse({"queue_running": [*running, *items[:1]], "queue_pending": items[1:]})

    async def history(request: Request) -> Response:
        prompt_id = request.path_params["prompt_id"]
        return JSONResponse({prompt_id: server.history[prompt_id]} if prompt_id in server.history else {})

    async def view(request: Request) -> Response:
        if server.cut_views > 0:
            server.cut_views -= 1
            return Response(PNG[:40], headers={"content-length": str(len(PNG))})
        return Response(PNG, media_type="image/png")

    async def interrupt(request: Request) -> Response:
        prompt_id = (await request.json()).get("prompt_id")
        server.seen.append(f"interrupt {prompt_id}")
        if prompt_id in server.running:
            server.running.remove(prompt_id)
        return Response()

    async def cancel(request: Request) -> Response:
        server.seen.append(f"cancel {request.path_params['prompt_id']}")
        return JSONResponse({"cancelled": True}) if server.atomic_cancel else PlainTextResponse("404: Not Found", 404)

    async def listen(websocket: WebSocket) -> None:
        if server.refuse_socket:
            await websocket.close()
            return
        await websocket.accept()
        client = websocket.query_params["clientId"]
        server.clients.append(client)
        server.sockets[client] = websocket
        for event in server.greeting:
            await (websocket.send_bytes(event) if isinstance(event, bytes) else websocket.send_text(json.dumps(event)))
        try:
            server.seen.append(await websocket.receive_text())
            while True:
                await websocket.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            server.seen.append("closed")

    async def in_front(request: Request, call_next: Any) -> Response:
        """A proxy that answers in ComfyUI's place, where the test says so."""
        route = request.url.path.split("/")[1]
        server.asked.append(route)
        instead = server.failing[route].pop(0) if server.failing.get(route) else None
        return instead or await call_next(request)

    return Starlette(
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=in_front)],
        routes=[
            Route("/prompt", prompt, methods=["POST"]),
            Route("/queue", queue, methods=["GET", "POST"]),
            Route("/history/{prompt_id}", history),
            Route("/view", view),
            Route("/interrupt", interrupt, methods=["POST"]),
            Route("/api/jobs/{prompt_id}/cancel", cancel, methods=["POST"]),
            WebSocketRoute("/ws", listen),
        ],
    )


@asynccontextmanager
async def scripted() -> AsyncGenerator[Scripted]:
    """A misbehaving ComfyUI on a free port."""
    server = Scripted()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            _app(server), log_config=None, lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        running = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.serve, [listener])
            with anyio.fail_after(5):
                while not running.started:
                    await anyio.sleep(0.01)
            server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield server
            running.should_exit = True
