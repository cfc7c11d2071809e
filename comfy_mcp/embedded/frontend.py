"""ComfyUI's own page over the engine: where it is, its files, and those of the packs that extend it.

Owns the routes of server.py and app/*.py that only the page asks for; what it keeps is in user_files. Nothing here
runs a graph: the page does that over the same routes as every other client.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from comfy_mcp.embedded.engine import Engine
from comfy_mcp.embedded.user_files import UserFiles, settings_routes, user_routes

__all__ = ["find_frontend", "routes"]

_MISSING = (
    "ComfyUI's page is not installed: run `pip install comfyui-frontend-package` and start the engine again, "
    "or start it with --frontend and a folder that has the page's index.html.\n"
)
_LOCALE_FILES = ("nodeDefs", "commands", "settings")


def find_frontend(told: Path | None = None) -> Path | None:
    """The folder of the page: ``told``, else that of the installed package, else None."""
    return told or _of_package("comfyui_frontend_package", "static")


def _of_package(package: str, folder: str) -> Path | None:
    """A folder inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    found = Path(spec.origin).parent / folder if spec is not None and spec.origin else None
    return found if found is not None and found.is_dir() else None


def routes(engine: Engine) -> list[BaseRoute]:
    """What the page needs, and the page itself; these come last, since the page's files may have any address."""
    files = UserFiles(engine.host.folder("user") / "default")
    root = find_frontend(engine.frontend)
    table = [*user_routes(files), *settings_routes(), *_pack_routes(engine, root), *_model_routes(engine)]
    return [
        *table,
        Mount("/api", routes=[*table, *_example_routes(engine)]),
        *_log_routes(),
        *_folders(engine, files),
        *_page(root),
    ]


class _Fresh(StaticFiles):
    """Files that the browser asks about each time, as ComfyUI has it: a pack that was edited is seen at once."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _page(root: Path | None) -> list[BaseRoute]:
    if root is not None:
        return [Mount("/", _Fresh(directory=root, html=True))]

    async def missing(request: Request) -> Response:
        return PlainTextResponse(_MISSING, 404)

    return [Route("/", missing)]


def _folders(engine: Engine, files: UserFiles) -> list[BaseRoute]:
    """The files of packs, and of ComfyUI's own templates."""

    def style(request: Request) -> Response:
        return FileResponse(files.existing("user.css"))

    async def none(request: Request) -> Response:
        return JSONResponse([])

    async def no_icon(request: Request) -> Response:
        return Response(status_code=204)

    found: list[BaseRoute] = [Route("/user.css", style), Route("/favicon.ico", no_icon)]
    webs = [(pack.name, pack.web) for pack in engine.packs if pack.web is not None]
    found += [Mount(f"/extensions/{name}", _Fresh(directory=web)) for name, web in webs]
    templates = _of_package("comfyui_workflow_templates", "templates")
    if templates is not None and (templates / "index.json").is_file():
        return [*found, Mount("/templates", _Fresh(directory=templates))]
    return [*found, Route("/templates/index.json", none)]


def _pack_routes(engine: Engine, root: Path | None) -> list[Route]:
    def extensions(request: Request) -> Response:
        found = _scripts(root / "extensions", "/extensions") if root is not None else []
        for pack in engine.packs:
            if pack.web is not None:
                found += _scripts(pack.web, f"/extensions/{quote(pack.name)}")
        return JSONResponse(found)

    def examples(request: Request) -> Response:
        found = {
            pack.name: sorted(path.stem for path in _examples(pack.folder).glob("*.json")) for pack in engine.packs
        }
        return JSONResponse({name: names for name, names in found.items() if names})

    def translations(request: Request) -> Response:
        return JSONResponse(_translations([pack.folder for pack in engine.packs]))

    return [Route("/extensions", extensions), Route("/workflow_templates", examples), Route("/i18n", translations)]


def _scripts(folder: Path, address: str) -> list[str]:
    return [f"{address}/{path.relative_to(folder).as_posix()}" for path in sorted(folder.rglob("*.js"))]


def _examples(folder: Path) -> Path:
    return folder / "example_workflows"


def _example_routes(engine: Engine) -> list[BaseRoute]:
    folders = {pack.name: _examples(pack.folder) for pack in engine.packs}
    return [
        Mount(f"/workflow_templates/{name}", _Fresh(directory=folder))
        for name, folder in folders.items()
        if folder.is_dir()
    ]


def _translations(packs: list[Path]) -> dict[str, Any]:
    """What packs bring for each language, merged as app/custom_node_manager.py does."""
    found: dict[str, Any] = {}
    for folder in sorted(path for pack in packs for path in pack.glob("locales/*/")):
        told = _json(folder / "main.json")
        for name in _LOCALE_FILES:
            if more := _json(folder / f"{name}.json"):
                told[name] = more
        found[folder.name] = _merged(found.get(folder.name, {}), told)
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], told) if isinstance(told, dict) else {}


def _merged(base: Any, more: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    old, new = cast(dict[str, Any], base), cast(dict[str, Any], more)
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _model_routes(engine: Engine) -> list[Route]:
    """The model library of the page: names alone, since there are no files behind them."""

    async def folders(request: Request) -> Response:
        names = [name for name in engine.models if name not in ("input", "configs", "custom_nodes")]
        return JSONResponse([{"name": name, "folders": [name]} for name in names])

    async def folder(request: Request) -> Response:
        names = engine.models.get(request.path_params["folder"], [])
        return JSONResponse([{"name": name, "pathIndex": 0, "modified": 0, "created": 0, "size": 0} for name in names])

    return [Route("/experiment/models", folders), Route("/experiment/models/{folder}", folder)]


def _log_routes() -> list[Route]:
    """The page's console; this engine says nothing in it."""

    async def logs(request: Request) -> Response:
        return JSONResponse("")

    async def raw(request: Request) -> Response:
        return JSONResponse({"entries": [], "size": {"cols": 80, "rows": 24}})

    async def subscribe(request: Request) -> Response:
        return Response()

    return [
        Route("/internal/logs", logs),
        Route("/internal/logs/raw", raw),
        Route("/internal/logs/subscribe", subscribe, methods=["PATCH"]),
    ]
