"""What the page keeps on its server: the settings, and the files of the one user there is.

Owns the routes of app/user_manager.py and app/app_settings.py. The settings live in memory, the files in the private
folder of the engine: both go when it does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from comfy_mcp.embedded.bodies import read_body
from comfy_mcp.errors import BadRequest
from comfy_mcp.strict_json import read_json

__all__ = ["UserFiles", "settings_routes", "user_routes"]

_AT_START = {"user.css": "", "comfy.templates.json": "[]", "workflows/.index.json": '{"favorites": []}'}
"""The page asks for these by itself, and calls it an error when they are not there."""


class UserFiles:
    """The files under one folder, by the names that the page gives them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        for name in ("workflows", "subgraphs"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for name, text in _AT_START.items():
            (self._folder / name).write_text(text)

    def path(self, name: str, refused: int = 403) -> Path:
        """Where a file or a folder of this name is, or would be.

        Raises:
            HTTPException: ``refused``, it would be outside, or no file can have this name.
        """
        try:
            path = (self._folder / name).resolve()
            path.exists()
        except (ValueError, OSError):
            raise HTTPException(refused) from None
        if not path.is_relative_to(self._folder):
            raise HTTPException(refused)
        return path

    def existing(self, name: str) -> Path:
        """Where a file is.

        Raises:
            HTTPException: 403, it would be outside; 404, it is not there.
        """
        path = self.path(name)
        if not path.is_file():
            raise HTTPException(404)
        return path

    def target(self, name: str, request: Request) -> Path:
        """Where a file may be written: its folder is made.

        Raises:
            HTTPException: 403, it would be outside; 400, no file can have this name; 409, it is there and is to stay.
        """
        path = self.path(name)
        if path.exists() and request.query_params.get("overwrite") == "false":
            raise HTTPException(409, "File already exists")
        if path.is_dir():
            raise HTTPException(400, "Invalid filename.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise HTTPException(400, "Invalid filename.") from None
        return path

    def told(self, path: Path, request: Request) -> Response:
        """What is answered of a file that was written."""
        if _is_true(request, "full_info"):
            return JSONResponse(_info(path, self._folder))
        return JSONResponse(path.relative_to(self._folder).as_posix())

    def entry(self, path: Path) -> dict[str, Any]:
        """What the newer list says of a file or a folder."""
        name = {"name": path.name, "path": path.relative_to(self._folder).as_posix()}
        if path.is_dir():
            return {**name, "type": "directory"}
        return {**name, "type": "file", "size": path.stat().st_size, "modified": path.stat().st_mtime}


def user_routes(files: UserFiles) -> list[Route]:
    """`/users` and `/userdata`; with the files' own addresses last, since those match everything."""

    async def users(request: Request) -> Response:
        return JSONResponse({"storage": "server", "migrated": True})

    return [
        Route("/users", users),
        Route("/userdata", _lister(files)),
        Route("/v2/userdata", _second_lister(files)),
        *_file_routes(files),
    ]


def _lister(files: UserFiles) -> Callable[[Request], Response]:
    def listed(request: Request) -> Response:
        name = request.query_params.get("dir", "")
        if not name:
            raise HTTPException(400, "Directory not provided")
        folder = files.path(name)
        if not folder.is_dir():
            raise HTTPException(404, "Directory not found")
        found = sorted(folder.rglob("*") if _is_true(request, "recurse") else folder.glob("*"))
        paths = [path for path in found if path.is_file() and not path.name.startswith(".")]
        if _is_true(request, "full_info"):
            return JSONResponse([_info(path, folder) for path in paths])
        names = [path.relative_to(folder).as_posix() for path in paths]
        return JSONResponse([[name, *name.split("/")] for name in names] if _is_true(request, "split") else names)

    return listed


def _second_lister(files: UserFiles) -> Callable[[Request], Response]:
    def listed(request: Request) -> Response:
        folder = files.path(request.query_params.get("path", ""), refused=400)
        if not folder.exists():
            raise HTTPException(404, "Requested path not found")
        if not folder.is_dir():
            raise HTTPException(400, "Requested path is not a directory")
        found = [files.entry(path) for path in folder.rglob("*")]
        return JSONResponse(sorted(found, key=lambda each: (each["type"] != "directory", each["name"].lower())))

    return listed


def _file_routes(files: UserFiles) -> list[Route]:
    def read(request: Request) -> Response:
        (name,) = _names(request, 1)
        return FileResponse(files.existing(name), headers={"Cache-Control": "no-cache"})

    async def write(request: Request) -> Response:
        names = _names(request, 1, 3)
        if len(names) == 3:
            return move(names, request)
        path = files.target(names[0], request)
        data = await read_body(request)
        try:
            path.write_bytes(data)
        except OSError:
            raise HTTPException(400, "Invalid filename.") from None
        return files.told(path, request)

    def move(names: list[str], request: Request) -> Response:
        source, verb, name = names
        if verb != "move":
            raise HTTPException(404)
        path = files.existing(source).replace(files.target(name, request))
        return files.told(path, request)

    def delete(request: Request) -> Response:
        (name,) = _names(request, 1)
        files.existing(name).unlink()
        return Response(status_code=204)

    table = [("GET", read), ("POST", write), ("DELETE", delete)]
    return [Route("/userdata/{name:path}", handler, methods=[method]) for method, handler in table]


def _names(request: Request, *counts: int) -> list[str]:
    """The parts of the address behind `/userdata/`: a name has its slashes written as %2F.

    Raises:
        HTTPException: 404, there are too many or too few of them.
    """
    raw: bytes = request.scope["raw_path"]
    parts = raw.decode("ascii", "replace").partition("/userdata/")[2].split("/")
    if len(parts) not in counts or not all(parts):
        raise HTTPException(404)
    return [unquote(part) for part in parts]


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _info(path: Path, folder: Path) -> dict[str, Any]:
    told = path.stat()
    return {
        "path": path.relative_to(folder).as_posix(),
        "size": told.st_size,
        "modified": told.st_mtime,
        "created": told.st_ctime,
    }


def settings_routes() -> list[Route]:
    """`/settings`: what the person has chosen in the page."""
    settings: dict[str, Any] = {}

    async def every(request: Request) -> Response:
        return JSONResponse(settings)

    async def one(request: Request) -> Response:
        return JSONResponse(settings.get(request.path_params["name"]))

    async def change(request: Request) -> Response:
        told = await _value(request)
        if not isinstance(told, dict):
            raise HTTPException(400, "Settings are an object.")
        settings.update(cast(dict[str, Any], told))
        return Response()

    async def change_one(request: Request) -> Response:
        settings[request.path_params["name"]] = await _value(request)
        return Response()

    return [
        Route("/settings", every),
        Route("/settings", change, methods=["POST"]),
        Route("/settings/{name}", one),
        Route("/settings/{name}", change_one, methods=["POST"]),
    ]


async def _value(request: Request) -> Any:
    data = await read_body(request)
    try:
        return read_json(data)
    except BadRequest as refused:
        raise HTTPException(400, str(refused)) from None
