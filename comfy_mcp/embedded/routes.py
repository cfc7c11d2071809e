"""ComfyUI's HTTP routes over one engine, each twice: as they are and under `/api`.

Owns the reading of requests and the shape of answers (server.py). What the real server answers with a bare 500, such
as a body that is no JSON, is a 400 here.
"""

from __future__ import annotations

import io
import json
import logging
import mimetypes
import uuid
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, cast

import numpy
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from comfy_mcp.embedded import frontend
from comfy_mcp.embedded.bodies import read_body
from comfy_mcp.embedded.engine import Engine
from comfy_mcp.embedded.node import describe
from comfy_mcp.embedded.validation import Refused

__all__ = ["routes"]

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
_TYPES = ("input", "output", "temp")
_UNKNOWN = "application/octet-stream"
_ACTIVE = frozenset({"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"})
_SIZE = 8 * 2**30


def routes(engine: Engine) -> list[BaseRoute]:
    """All routes of one engine."""
    table: list[tuple[str, str, Handler]] = [
        *_prompt_routes(engine),
        *_queue_routes(engine),
        *_file_routes(engine),
        *_info_routes(engine),
        *engine.routes.listed(),
    ]
    paths: dict[str, list[tuple[str, Handler]]] = {}
    for path, method, handler in table:
        paths.setdefault(path, []).append((method, handler))

    async def socket(websocket: WebSocket) -> None:
        await engine.sockets.serve(websocket, engine.status)

    found: list[BaseRoute] = []
    for prefix in ("", "/api"):
        found.append(WebSocketRoute(f"{prefix}/ws", socket))
        for path, handlers in paths.items():
            found += [Route(prefix + path, handler, methods=[method]) for method, handler in handlers]
    return [*found, *frontend.routes(engine)]


async def _body(request: Request) -> dict[str, Any]:
    data = await read_body(request)
    if not data:
        return {}
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    return cast(dict[str, Any], told) if isinstance(told, dict) else {}


def _prompt_routes(engine: Engine) -> list[tuple[str, str, Handler]]:
    async def count(request: Request) -> Response:
        return JSONResponse(engine.status)

    async def submit(request: Request) -> Response:
        body = await _body(request)
        if "prompt" not in body:
            message = "No prompt provided"
            error: dict[str, Any] = {"type": "no_prompt", "message": message, "details": message, "extra_info": {}}
            return JSONResponse({"error": error, "node_errors": {}}, 400)
        extra = cast(dict[str, Any], body.get("extra_data") or {})
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        prompt_id, number = str(body.get("prompt_id", uuid.uuid4())), body.get("number")
        place = float(number) if isinstance(number, int | float) else None
        try:
            return JSONResponse(await engine.submit(body["prompt"], prompt_id, extra, place, bool(body.get("front"))))
        except Refused as refused:
            return JSONResponse({"error": refused.error, "node_errors": refused.node_errors}, 400)

    return [("/prompt", "GET", count), ("/prompt", "POST", submit)]


def _queue_routes(engine: Engine) -> list[tuple[str, str, Handler]]:
    async def queue(request: Request) -> Response:
        running = [engine.running.listed()] if engine.running else []
        return JSONResponse({"queue_running": running, "queue_pending": [job.listed() for job in engine.pending]})

    async def change(request: Request) -> Response:
        body = await _body(request)
        if body.get("clear"):
            engine.delete(None)
        engine.delete(list(body.get("delete") or []))
        return Response()

    async def history(request: Request) -> Response:
        found = list(engine.history.items())
        try:
            most = int(request.query_params.get("max_items", len(found)))
            offset = int(request.query_params.get("offset", -1))
        except ValueError:
            raise HTTPException(400, "max_items and offset are numbers.") from None
        start = max(0, len(found) - most) if offset < 0 else offset
        return JSONResponse(dict(found[start : start + most]))

    async def entry(request: Request) -> Response:
        prompt_id = request.path_params["prompt_id"]
        return JSONResponse({prompt_id: engine.history[prompt_id]} if prompt_id in engine.history else {})

    async def forget(request: Request) -> Response:
        body = await _body(request)
        if body.get("clear"):
            engine.history.clear()
        for prompt_id in body.get("delete") or ():
            engine.history.pop(prompt_id, None)
        return Response()

    async def interrupt(request: Request) -> Response:
        engine.interrupt((await _body(request)).get("prompt_id"))
        return Response()

    async def free(request: Request) -> Response:
        if (await _body(request)).get("free_memory"):
            engine.free()
        return Response()

    return [
        ("/queue", "GET", queue),
        ("/queue", "POST", change),
        ("/history", "GET", history),
        ("/history/{prompt_id}", "GET", entry),
        ("/history", "POST", forget),
        ("/interrupt", "POST", interrupt),
        ("/free", "POST", free),
    ]


def _file_routes(engine: Engine) -> list[tuple[str, str, Handler]]:
    async def view(request: Request) -> Response:
        query = request.query_params
        name, kind = query.get("filename", ""), query.get("type", "output")
        for suffix in _TYPES:
            if name.endswith(f" [{suffix}]"):
                name, kind = name.removesuffix(f" [{suffix}]"), suffix
        if not name:
            raise HTTPException(404)
        if name.startswith("/") or ".." in name or kind not in _TYPES:
            raise HTTPException(400)
        base = engine.host.folder(kind).resolve()
        if not (base / query.get("subfolder", "")).resolve().is_relative_to(base):
            raise HTTPException(403)
        path = engine.host.find(kind, query.get("subfolder", ""), name)
        if path is None:
            raise HTTPException(404)
        data, media = _viewed(path, query.get("preview"), query.get("channel"))
        return Response(data, media_type=media, headers={"Content-Disposition": f'filename="{path.name}"'})

    async def upload(request: Request) -> Response:
        async with request.form() as form:
            file = form.get("image")
            if file is None or isinstance(file, str):
                raise HTTPException(400)
            kind, subfolder = str(form.get("type", "input")), str(form.get("subfolder", ""))
            if kind not in _TYPES:
                raise HTTPException(400)
            data = await file.read()
            if request.url.path.endswith("/mask"):
                data = _masked(engine, data, str(form.get("original_ref", "{}")))
            overwrite = str(form.get("overwrite", "")).lower() in ("true", "1")
            told = engine.host.store_upload(kind, subfolder, file.filename or "", data, overwrite=overwrite)
        if told is None:
            raise HTTPException(400)
        return JSONResponse(told)

    return [("/view", "GET", view), ("/upload/image", "POST", upload), ("/upload/mask", "POST", upload)]


def _viewed(path: Path, preview: str | None, channel: str | None) -> tuple[bytes, str]:
    data, media = path.read_bytes(), mimetypes.guess_type(path.name)[0] or _UNKNOWN
    if not media.startswith("image/") or (preview is None and channel is None):
        # What a browser would run is only ever saved.
        return data, _UNKNOWN if media in _ACTIVE else media
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF")) as opened:
        picture = opened.convert("RGBA")
    if channel == "rgb":
        picture = picture.convert("RGB")
    elif channel == "a":
        black = Image.new("RGBA", picture.size)
        black.putalpha(picture.getchannel("A"))
        picture = black
    kind, quality = "png", 90
    if preview is not None:
        parts = preview.split(";")
        kind = parts[0] if parts[0] in ("webp", "jpeg") and channel != "a" else "webp"
        quality = int(parts[-1]) if parts[-1].isdigit() else 90
    encoded = io.BytesIO()
    (picture.convert("RGB") if kind == "jpeg" else picture).save(encoded, kind.upper(), quality=quality)
    return encoded.getvalue(), f"image/{kind}"


def _masked(engine: Engine, data: bytes, reference: str) -> bytes:
    """The original picture with the alpha of the uploaded one."""
    try:
        told = json.loads(reference)
        original = engine.host.find(told.get("type", "output"), told.get("subfolder", ""), told["filename"])
    except (ValueError, KeyError, AttributeError):
        raise HTTPException(400) from None
    if original is None:
        raise HTTPException(400)
    with Image.open(original) as below, Image.open(io.BytesIO(data)) as mask:
        picture = below.convert("RGBA")
        picture.putalpha(mask.convert("RGBA").getchannel("A").resize(picture.size))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=4)
    return encoded.getvalue()


def _described(engine: Engine) -> Generator[tuple[str, dict[str, Any]]]:
    models = engine.models
    for name, cls in engine.nodes.items():
        try:
            yield name, describe(name, cls, models, engine.title(name))
        except Exception:  # noqa: BLE001 - a class of a pack may raise anything; the others are told of all the same
            _log.exception("The class %s cannot be described.", name)


def _info_routes(engine: Engine) -> list[tuple[str, str, Handler]]:
    async def all_nodes(request: Request) -> Response:
        return JSONResponse(dict(_described(engine)))

    async def one_node(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in engine.nodes:
            return JSONResponse({})
        return JSONResponse({name: describe(name, engine.nodes[name], engine.models, engine.title(name))})

    async def stats(request: Request) -> Response:
        system = {
            "os": "posix",
            "ram_total": _SIZE,
            "ram_free": _SIZE,
            "comfyui_version": "0.3.64",
            "required_frontend_version": "",
            "installed_templates_version": "",
            "required_templates_version": "",
            "python_version": "",
            "pytorch_version": f"none (numpy {numpy.__version__})",
            "embedded_python": False,
            "argv": ["comfy-workbench", "engine", "--disable-api-nodes"],
            "engine": "comfyui-workbench embedded engine",
        }
        sizes = dict.fromkeys(("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"), _SIZE)
        return JSONResponse({"system": system, "devices": [{"name": "cpu", "type": "cpu", "index": None, **sizes}]})

    async def features(request: Request) -> Response:
        return JSONResponse(engine.features)

    async def folders(request: Request) -> Response:
        return JSONResponse([name for name in engine.models if name != "input"])

    async def folder(request: Request) -> Response:
        name = request.path_params["folder"]
        if name not in engine.models or name == "input":
            raise HTTPException(404)
        return JSONResponse(engine.models[name])

    async def embeddings(request: Request) -> Response:
        return JSONResponse([])

    return [
        ("/object_info", "GET", all_nodes),
        ("/object_info/{name}", "GET", one_node),
        ("/system_stats", "GET", stats),
        ("/features", "GET", features),
        ("/models", "GET", folders),
        ("/models/{folder}", "GET", folder),
        ("/embeddings", "GET", embeddings),
    ]
