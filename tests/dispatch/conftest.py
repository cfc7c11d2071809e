"""A dispatcher over scripted backends, with the real store on a disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from comfy_mcp.assets import Assets, sink_from_url
from comfy_mcp.backends import BackendConfig, Pool
from comfy_mcp.dispatch import Dispatcher, Limits
from comfy_mcp.jobs import BoundWorkflow, Graph, Job
from comfy_mcp.store import NewJob, QueueLimits, SqliteStore
from comfy_mcp.tasks import background
from comfy_mcp.watch import Board
from tests.dispatch.scripted import Scripted, opening

BEAT = 0.1


@dataclass
class Bench:
    """The parts, and jobs in a few words."""

    dispatcher: Dispatcher
    store: SqliteStore
    pool: Pool
    board: Board
    assets: Assets

    async def queue(
        self,
        prompt: str,
        *,
        model: str = "",
        needs: str = "text",
        owner: str = "ann",
        expires_in: float | None = None,
        graph: Graph | None = None,
    ) -> Job:
        bound = BoundWorkflow(graph or {}, {"prompt": prompt})
        new = NewJob(owner, "story", None, bound, model=model, needs=frozenset({needs}), expires_in=expires_in)
        job = await self.store.enqueue(new)
        self.board.post_work()
        return job

    async def ended(self, *jobs: Job) -> list[Job]:
        with anyio.fail_after(20):
            while True:
                now = [await self.store.get(job.id) for job in jobs]
                if all(job.state.terminal for job in now):
                    return now
                await anyio.sleep(0.02)


@asynccontextmanager
async def bench(
    folder: Path, configs: Sequence[BackendConfig], backends: Sequence[Scripted], limits: Limits | None = None
) -> AsyncGenerator[Bench]:
    allowed = limits or Limits(beat=BEAT)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            SqliteStore.open(folder / "jobs.sqlite3", limits=QueueLimits(lease=3 * BEAT))
        )
        pool = await stack.enter_async_context(Pool.open(configs, opening(backends)))
        tasks = await stack.enter_async_context(background())
        board = Board()
        assets = Assets(sink_from_url("memory", folder), "{job}")
        dispatcher = Dispatcher(store, assets, pool, board, limits=lambda: allowed)
        tasks.start_soon(dispatcher.run)
        yield Bench(dispatcher, store, pool, board, assets)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what the dispatcher does by itself."""
    with anyio.fail_after(10):
        while not true():
            await anyio.sleep(0.01)


@pytest.fixture
def log() -> list[str]:
    return []
