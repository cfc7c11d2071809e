"""Tasks that live as long as a block of code.

Owns one habit: the block's own failure comes out as it is, not wrapped in a group, so that callers can name it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
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
    """What ``work`` gives, also when the caller is cancelled meanwhile; then that is raised at its next wait."""
    done: list[T] = []
    with anyio.CancelScope(shield=True):
        done.append(await work)
    return done[0]


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure inside a group of groups, or the group itself when there are several."""
    failures = group.exceptions
    if len(failures) != 1:
        return group
    inner = failures[0]
    return _only(cast("BaseExceptionGroup[BaseException]", inner)) if isinstance(inner, BaseExceptionGroup) else inner
