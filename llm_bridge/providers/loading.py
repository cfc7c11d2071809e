"""What loading has in common over the dialects: waiting until something is so, and what a failure means meanwhile.

Owns no protocol. Used by the dialects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from llm_bridge.errors import LoadFailed, ServerError

__all__ = ["loading", "until"]

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


async def until(seen: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether it was ``seen`` within ``seconds``; looks ever less often, from every 20 ms to every 500 ms."""
    pause = _FIRST_PAUSE
    try:
        async with asyncio.timeout(seconds):
            while not await seen():
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
    except TimeoutError:
        return False
    return True


@contextmanager
def loading() -> Generator[None]:
    """Inside it a failure of the server that has no better name is that it could not load. Raises LoadFailed."""
    try:
        yield
    except ServerError as failure:
        if type(failure) is not ServerError:
            raise
        raise LoadFailed(failure.message, hint="Choose a smaller model, or free memory.", **failure.details) from None
