"""Scripts, styles and pictures of the page: kept in memory, packed once, and named by what is in them.

Owns where they come from: beside this module, the design system of `comfy_mcp.ui`, and htmx, which the wheel carries
and a checkout takes from the package that the wheel took it from.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from comfy_mcp.errors import NotFound
from comfy_mcp.ui import read_static

__all__ = ["PREFIX", "address", "static_response"]

PREFIX = "/static/"

_NAME = re.compile(r"[a-z0-9_-]{1,40}\.(js|css|svg|webp)")
_KINDS = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_CARRIED = {"htmx.js": "htmx-2.min.js", "htmx-sse.js": "ext/hx-sse-2.min.js"}


@dataclass(frozen=True, slots=True)
class _Static:
    data: bytes
    packed: bytes
    kind: str
    tag: str


def address(name: str) -> str:
    """Where a browser gets the file, for good: another content has another address. Raises NotFound."""
    return f"{PREFIX}{name}?v={_static(name).tag}"


async def static_response(name: str, request: Request) -> Response:
    """The file as an answer. Raises NotFound."""
    found = _static(name)
    forever = request.query_params.get("v") == found.tag
    headers = {
        "Cache-Control": f"public, max-age={31536000 if forever else 60}{', immutable' if forever else ''}",
        "ETag": f'"{found.tag}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == f'"{found.tag}"':
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.data, media_type=found.kind, headers=headers)


def _read(name: str) -> bytes | None:
    own = files("comfy_mcp.proxy.page").joinpath("static", name)
    if own.is_file():
        return own.read_bytes()
    spec = find_spec("django_htmx") if name in _CARRIED else None
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent.joinpath("static", "django_htmx", _CARRIED[name]).read_bytes()
    try:
        return read_static(name)
    except OSError:
        return None


@cache
def _static(name: str) -> _Static:
    data = _read(name) if _NAME.fullmatch(name) else None
    if data is None:
        raise NotFound(f"There is no file {name[:64]!r}.", hint="Reload the page.")
    kind = _KINDS.get(name.rpartition(".")[2], "image/webp")
    return _Static(data, gzip.compress(data, 9, mtime=0), kind, hashlib.sha256(data).hexdigest()[:12])
