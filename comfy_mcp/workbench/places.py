"""Where waiting jobs stand: the forecast of the whole queue, made at most once a second for all who ask."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from anyio import to_thread

from comfy_mcp.backends import Pool
from comfy_mcp.jobs import Job
from comfy_mcp.store import JobStore, Queue
from llm_bridge.forecast import Place, forecast
from llm_bridge.scheduling import Policy

__all__ = ["Foreseen", "Places"]

_FRESH_SECONDS = 1.0
_FORESEEN = 100
"""How many waiting jobs are played forward; of those behind them only the number ahead is told."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The places that were foreseen, by job, and the queue that they were foreseen in."""

    places: Mapping[str, Place]
    queue: Queue


class Places:
    """The places of all waiting jobs."""

    def __init__(self, store: JobStore, pool: Pool) -> None:
        self._store, self._pool = store, pool
        self._foreseen = Foreseen({}, Queue([], {}, {}))
        self._made_at = float("-inf")

    async def of(self, job: Job) -> Place:
        """The place of one waiting job."""
        return (await self.all()).places.get(job.id) or Place(await self._store.ahead(job.id), None)

    async def all(self) -> Foreseen:
        """What is foreseen of the whole queue."""
        if time.monotonic() - self._made_at > _FRESH_SECONDS:
            self._made_at = time.monotonic()
            self._foreseen = await self._look()
        return self._foreseen

    def forget(self) -> None:
        """The queue is not what it was."""
        self._made_at = float("-inf")

    async def _look(self) -> Foreseen:
        self._pool.set_modes(await self._store.modes())
        line = await self._store.line(_FORESEEN)
        queue = line.queue
        names = frozenset[str]().union(*(lane.needs for lane in queue.lanes))
        servers = self._pool.servers(names)
        # In a thread: with hundreds of lanes it takes longer than anybody may keep the event loop.
        places = await to_thread.run_sync(
            partial(
                forecast,
                line.waiting,
                queue.lanes,
                servers,
                queue.batches,
                queue.turns,
                policy=Policy(),
                seconds=line.seconds,
                left=line.running,
            )
        )
        return Foreseen(places, queue)
