"""Tasks that live as long as a block of code.

Owns one habit: the block's own failure comes out as it is, not wrapped in a group, so that callers can name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar, cast

import anyio
from anyio.abc import TaskGroup

__all__ = ["background", "to_the_end"]

T = TypeVar("T")


@asynccontextmanager
async def background() -> AsyncGenerator[TaskGroup]:
    """A task group whose tasks are cancelled at the end of the block; a failing task cancels the block."""
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _only(group) from None


async def to_the_end(work: Awaitable[T]) -> T:
    """What ``work`` gives, also when the caller is cancelled meanwhile; then that is raised at its next wait.

    Where asyncio itself cancels the caller (as its task groups do, whatever anyio shields), that is raised at the end.
    """
    task = asyncio.ensure_future(work)
    with anyio.CancelScope(shield=True):
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            raise
    return task.result()


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure inside a group of groups, or the group itself when there are several."""
    failures = group.exceptions
    if len(failures) != 1:
        return group
    inner = failures[0]
    return _only(cast("BaseExceptionGroup[BaseException]", inner)) if isinstance(inner, BaseExceptionGroup) else inner
