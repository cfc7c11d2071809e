"""Which right each path and method needs.

Owns that table. What it does not name needs the right to make: a new route is never open by mistake.
"""

from __future__ import annotations

from comfy_mcp.callers import Right

__all__ = ["SOCKET", "right_of"]

SOCKET = "SOCKET"
"""Stands for the method of a WebSocket."""

_PUBLIC = "/healthz"
"""Answered without a token: it says only whether the process works."""
_READING = frozenset({"GET", "HEAD"})
_CHANGING = {"/api/v1/backends/": Right.ADMIN, "/comfyui/": Right.GRAPHS}
"""What needs more than the right to make, when it is not only read. A socket of ComfyUI's only tells."""


def right_of(method: str, path: str) -> Right | None:
    """What a caller needs for this; None for nothing at all. ``path`` is the one that the routes are looked up by."""
    if path == _PUBLIC and method in _READING:
        return None
    if method in _READING or method == SOCKET:
        return Right.MAKE
    return next((right for start, right in _CHANGING.items() if path.startswith(start)), Right.MAKE)
