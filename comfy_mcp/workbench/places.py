"""Where waiting jobs stand: the forecast of the whole queue, made at most once a second for all who ask."""

from __future__ import annotations

import time
from functools import partial

from anyio import to_thread

from comfy_mcp.backends import Pool
from comfy_mcp.jobs import Job
from comfy_mcp.store import JobStore
from llm_bridge.forecast import Place, forecast
from llm_bridge.scheduling import Policy

__all__ = ["Places"]

_FRESH_SECONDS = 1.0
_FORESEEN = 100
"""How many waiting jobs are played forward; of those behind them only the number ahead is told."""


class Places:
    """The places of all waiting jobs."""

    def __init__(self, store: JobStore, pool: Pool) -> None:
        self._store, self._pool = store, pool
        self._places: dict[str, Place] = {}
        self._made_at = float("-inf")

    async def of(self, job: Job) -> Place:
        """The place of one waiting job."""
        if time.monotonic() - self._made_at > _FRESH_SECONDS:
            self._made_at = time.monotonic()
            await self._look()
        return self._places.get(job.id) or Place(await self._store.ahead(job.id), None)

    async def _look(self) -> None:
        self._pool.set_modes(await self._store.modes())
        line = await self._store.line(_FORESEEN)
        queue = line.queue
        names = frozenset[str]().union(*(lane.needs for lane in queue.lanes))
        servers = self._pool.servers(names)
        # In a thread: with hundreds of lanes it takes longer than anybody may keep the event loop.
        self._places = await to_thread.run_sync(
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
