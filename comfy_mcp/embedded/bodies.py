"""The bodies of requests, read up to a bound.

Owns no meaning. All routes of the engine that read a body read it through here.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["MOST_UPLOAD", "read_body"]

MOST_UPLOAD = 100 * 2**20


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, it is larger than an upload may be.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_UPLOAD:
            raise HTTPException(413, f"Maximum request body size {MOST_UPLOAD} exceeded.")
    return bytes(data)
