"""Which right each path and method needs.

Owns that table. What it does not name needs the right to make: a new route is never open by mistake.
"""

from __future__ import annotations

from comfy_mcp.callers import Right

__all__ = ["READING", "SOCKET", "is_at_hand", "right_of"]

SOCKET = "SOCKET"
"""Stands for the method of a WebSocket."""

READING = frozenset({"GET", "HEAD"})
"""The methods that change nothing."""

_HEALTH = "/healthz"
_STATIC = "/static/"
_PUBLIC = frozenset({("GET", _HEALTH), ("HEAD", _HEALTH), ("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/look")})
"""Answered without a token: whether the process works, where a person brings theirs, and the choice of language and
colours, which is a cookie."""
_OPEN = (_STATIC, "/enter/")
"""As public, with all below them: the page's scripts and styles, and links that bring their own permission."""
_CHANGING = {
    "/api/v1/backends/": Right.ADMIN,
    "/queue/backends": Right.ADMIN,
    "/comfyui/": Right.GRAPHS,
    "/tools/-/": Right.ADMIN,
    "/gallery/retention": Right.ADMIN,
    "/templates": Right.ADMIN,
    "/settings/": Right.ADMIN,
}
"""What needs more than the right to make, when it is not only read. A socket of ComfyUI's only tells."""


def right_of(method: str, path: str) -> Right | None:
    """What a caller needs for this; None for nothing at all. ``path`` is the one that the routes are looked up by."""
    if (method, path) in _PUBLIC or (method in READING and path.startswith(_OPEN)):
        return None
    if method in READING or method == SOCKET:
        return Right.MAKE
    return next((right for start, right in _CHANGING.items() if path.startswith(start)), Right.MAKE)


def is_at_hand(method: str, path: str) -> bool:
    """Whether anybody is answered at once and from memory, so that it costs less to answer than to count."""
    return method in READING and (path == _HEALTH or path.startswith(_STATIC))
