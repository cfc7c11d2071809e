"""The thread that runs prompts, one after the other.

One thread for the life of the engine, as in ComfyUI: what nodes keep for their thread stays theirs. A daemon, so that
a node that does not stop keeps nobody from ending the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from comfy_mcp.embedded.execution import Finished, Job

__all__ = ["Worker"]


class Worker:
    """``work`` is called in the thread, which ends with `close`."""

    def __init__(self, work: Callable[[Job], Finished]) -> None:
        self._work = work
        self._asked: SimpleQueue[tuple[Job, Future[Finished]] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name="engine-worker", daemon=True).start()

    async def run(self, job: Job) -> Finished:
        """Run a job. A caller that is cancelled leaves it behind."""
        future: Future[Finished] = Future()
        self._asked.put((job, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._asked.put(None)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            job, future = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._work(job))
            except BaseException as failure:  # noqa: BLE001 - told to who waits
                future.set_exception(failure)
