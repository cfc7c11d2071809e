"""A kept file as the answer to a request: told by what we found it to be, and never run where it is shown.

Owns the headers. Whose file it is, and what it is called there, the front doors say that serve it.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from comfy_mcp.jobs import Asset
from comfy_mcp.workbench import Workbench

__all__ = ["file_response"]

_SHOWN = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "video/mp4", "video/webm"})
_NOT_MODIFIED = 304


async def file_response(workbench: Workbench, asset: Asset, request: Request, *, name: str) -> Response:
    """The bytes of an asset, to be saved as ``name``; or that they are what the client has. Raises NotFound."""
    shown, tag = asset.mime in _SHOWN, f'"{asset.sha256}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    media = asset.mime if shown or asset.mime.startswith("audio/") else "application/octet-stream"
    return Response(await workbench.read(asset), media_type=media, headers=headers)
