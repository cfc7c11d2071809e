"""The end of what a token opened, once the token is taken back: sockets and streams that else run for hours.

Owns when that is looked at: while something is told, so that a call that waits costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comfy_mcp.errors import WorkbenchError

__all__ = ["until_revoked"]

_SECONDS = 2.0
_POLICY = 1008
"""RFC 6455, 7.4.1."""


def until_revoked(app: ASGIApp, still: Callable[[], Awaitable[bool]]) -> ASGIApp:
    """``app`` that is cancelled with the next thing that it tells, when its caller is ``still`` let in no longer.

    An answer that was not begun, or comes in one piece, is given.
    """

    async def ending(scope: Scope, receive: Receive, send: Send) -> None:
        look_at = anyio.current_time() + _SECONDS

        async def looking(message: Message) -> None:
            nonlocal look_at
            more = message["type"] == "websocket.send" or message.get("more_body", False)
            if more and anyio.current_time() >= look_at:
                look_at = anyio.current_time() + _SECONDS
                if not await _answered(still):
                    cut.cancel()
                    await checkpoint()
            await send(message)

        with anyio.CancelScope() as cut:
            await app(scope, receive, looking)
        if cut.cancelled_caught and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY})

    return ending


async def _answered(still: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await still()
    except WorkbenchError:
        # That nobody can say is no reason to break off what was allowed.
        return True
