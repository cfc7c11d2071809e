"""The bridge's own thread: one event loop that outlives every graph, where clients, queues and streams live.

ComfyUI runs each graph in an event loop of its own, which a node without `async` blocks for as long as it computes and
which ends with the graph. What lives here reads on meanwhile, and stops at once when the graph is to stop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from comfy_nodes.host import Running, interruption

__all__ = ["bridge_loop", "handed_over", "on_bridge"]

_NAME = "llm-bridge"
_LOOK_SECONDS = 0.05
_GOODBYE_SECONDS = 5.0

T = TypeVar("T")

_AT_WORK: set[asyncio.Task[Any]] = set()
"""What is done for the nodes of the graph. Who sees first that it is to stop stops all of it: the next of a list would
else be asked in the moment before it looks itself."""


class _Stopped(Exception):
    """The graph was interrupted, and the work has ended."""


@cache
def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # httpx writes a line for every request, and ComfyUI shows its log in the page. Others' lines stay.
    logging.getLogger("httpx").addFilter(lambda record: record.threadName != _NAME)
    threading.Thread(target=loop.run_forever, name=_NAME, daemon=True).start()
    return loop


_STARTING = threading.Lock()


def bridge_loop() -> asyncio.AbstractEventLoop:
    """The loop of the bridge's thread, which starts when it is first needed."""
    with _STARTING:
        return _started()


async def handed_over(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, done on the bridge's loop; cancelling this cancels it there."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, bridge_loop()))


async def on_bridge(running: Running, work: Callable[[], Awaitable[T]]) -> T:
    """As `handed_over`, for a node: ends within a twentieth of a second when the graph is interrupted.

    Raises what ``work`` raises, and ComfyUI's exception for an interrupted graph.
    """
    try:
        return await handed_over(_until_interrupted(running, work))
    except _Stopped:
        raise interruption() from None


async def _until_interrupted(running: Running, work: Callable[[], Awaitable[T]]) -> T:
    task = asyncio.ensure_future(work())
    _AT_WORK.add(task)
    try:
        while task in _AT_WORK and not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            running.catch_up()
            if running.interrupted and not task.done():
                _stop_all()
        if task not in _AT_WORK:
            raise _Stopped
        return task.result()
    finally:
        _AT_WORK.discard(task)
        if not task.done():
            if not task.cancelling():
                task.cancel()
            # So that the next graph finds the server's slot free; a server that hangs holds up nobody.
            await asyncio.wait({task}, timeout=_GOODBYE_SECONDS)


def _stop_all() -> None:
    for task in [each for each in _AT_WORK if not each.done()]:
        _AT_WORK.remove(task)
        task.cancel()
