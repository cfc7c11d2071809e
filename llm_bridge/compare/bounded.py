"""Many things at once, but not too many.

Knows nothing of what is done; for `run` and `judge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

__all__ = ["for_each"]

Item = TypeVar("Item")


async def for_each(items: Collection[Item], work: Callable[[Item], Awaitable[None]], at_once: int) -> None:
    """Begins ``work`` on the items in their order, at most ``at_once`` at a time.

    Raises: the first exception of ``work``, after the others are cancelled; CancelledError also when ``work`` gave up
    with it by itself.
    """
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    task = asyncio.current_task()
    cancelling = task.cancelling() if task is not None else 0
    try:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker()) for _ in range(min(at_once, len(items)))]
    except ExceptionGroup as errors:
        # The group of Python 3.11 leaves the cancel counted by which it woke this task; cancel scopes around would miss
        # the end of their own.
        while task is not None and task.cancelling() > cancelling:
            task.uncancel()
        raise errors.exceptions[0] from None
    # A task group takes a task that was cancelled from elsewhere for a finished one.
    if any(task.cancelled() for task in workers):
        raise asyncio.CancelledError
