"""Large answers as JSON, made off the event loop: pictures in them are megabytes of base64.

Owns that bytes in an answer become base64. Used by the front doors that answer pictures.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from anyio import to_thread
from starlette.responses import Response

__all__ = ["packed", "packed_answer"]


async def packed(told: Any) -> bytes:
    """The JSON of an answer, with every bytes in it as base64."""
    return await to_thread.run_sync(lambda: _json(told).encode())


async def packed_answer(told: Any) -> Response:
    """As an answer of its own."""
    return Response(await packed(told), media_type="application/json")


def _json(told: Any) -> str:
    return json.dumps(told, default=_base64, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is nothing for JSON.")
    return base64.b64encode(value).decode()
