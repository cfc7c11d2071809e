"""The line of those who wait as people see and change it: the order in which jobs probably start, and why each waits.

Owns one look at the queue for all who watch it, a few times a second at most. The store exchanges the places.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from comfy_mcp.errors import BadRequest, InvalidParameter, NotAllowed
from comfy_mcp.jobs import GRAPH, Job
from comfy_mcp.store import Spot, Standing
from comfy_mcp.tasks import to_the_end
from comfy_mcp.watch import Board, Watcher
from comfy_mcp.workbench.binding import MOST_PRIORITY
from comfy_mcp.workbench.memories import Memories
from comfy_mcp.workbench.places import Places
from comfy_mcp.workbench.reasons import Reason, reason_of
from comfy_mcp.workbench.repeating import request_again
from llm_bridge.forecast import Place

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Seen", "WaitingLine"]

_FRESH_SECONDS = 0.25
_MOST = 1000
"""How many waiting jobs are looked at; further ones come into sight as these begin."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The queue at one moment: what runs, how far it is known, and who waits in the order in which they probably start.

    ``reasons`` are by lane, ``places`` by job, as far as these are foreseen; ``loaded`` is the model of each card.
    """

    running: Sequence[Job]
    waiting: Sequence[Standing]
    places: Mapping[str, Place]
    reasons: Mapping[int, Reason]
    loaded: Mapping[str, tuple[str, str]]


class WaitingLine:
    """The line of a workbench."""

    def __init__(self, workbench: Workbench, board: Board, places: Places) -> None:
        self._workbench, self._board, self._places = workbench, board, places
        self.memories = Memories(workbench.pool)
        self._looking = anyio.Lock()
        self._seen: Seen | None = None
        self._seen_at = float("-inf")

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[Watcher]:
        """Hears that jobs came, ended or moved in this process. What others do is found by looking."""
        with self._board.watching_work() as watcher:
            yield watcher

    async def look(self) -> Seen:
        """The queue as it is now, or was a moment ago."""
        async with self._looking:
            if self._seen is None or time.monotonic() - self._seen_at > _FRESH_SECONDS:
                self._seen_at = time.monotonic()
                self._seen = await self._look()
            return self._seen

    async def _look(self) -> Seen:
        lineup, foreseen = self._workbench.store.lineup, await self._places.all()
        places, queue = foreseen.places, foreseen.queue
        priorities = {lane.id: lane.priority for lane in queue.lanes}
        waiting = await lineup.waiting(_MOST)
        running = [self._as_it_runs(job) for job in await lineup.running()]

        def turn(each: Standing) -> tuple[float, int, int]:
            place = places.get(each.job)
            return (place.position if place else float("inf"), -priorities.get(each.lane, 0), each.seq)

        members = self._workbench.pool.members
        reasons = {lane.id: reason_of(lane, members, queue.batches) for lane in queue.lanes}
        loaded = {card: (batch.server, batch.model) for card, batch in queue.batches.items()}
        return Seen(running, sorted(waiting, key=turn), places, reasons, loaded)

    def _as_it_runs(self, job: Job) -> Job:
        progress = self._board.progress(job.id)
        return job if progress is None else job.at(progress)

    async def several(self, jobs: Sequence[str]) -> Sequence[Job]:
        """Those of these jobs that there are, without their places."""
        return await self._workbench.store.lineup.several(jobs)

    async def ended(self, owner: str | None, seconds: float, limit: int) -> Sequence[Job]:
        """What ended in the last ``seconds``, last first, and after all others what was cancelled."""
        return await self._workbench.store.lineup.ended(owner, time.time() - seconds, limit)

    async def move(self, job: str, owner: str | None, to: str) -> None:
        """Move a waiting job among those of its owner: "first", "up", "down" or "last".

        Up and down are by the order in which they probably start, which is not that of arrival where models differ.

        Raises:
            NotFound: there is no such job.
            BadRequest: it does not wait any more, or there is no such move.
        """
        if to in ("up", "down"):
            other = await self._neighbour(job, -1 if to == "up" else 1)
            spot = Spot.BEFORE if to == "up" else Spot.AFTER
            # At the end already: that there is nothing to do, the store tells who may ask.
            other, spot = (other, spot) if other else ("", Spot.FIRST if to == "up" else Spot.LAST)
        elif to in (Spot.FIRST, Spot.LAST):
            other, spot = "", Spot(to)
        else:
            raise BadRequest(f"There is no move {to[:16]!r}.", hint="Move first, up, down or last.")
        await to_the_end(self._workbench.store.lineup.move(job, owner, spot, other))
        self._changed()

    async def _neighbour(self, job: str, step: int) -> str:
        """The job of the same owner and priority that starts before or after it; "" when there is none."""
        seen = await self.look()
        mine = next((each for each in seen.waiting if each.job == job), None)
        if mine is None:
            return ""
        (found,) = await self.several([job])
        same = [each.job for each in seen.waiting if each.owner == mine.owner]
        beside = same[: same.index(job)][::-1] if step < 0 else same[same.index(job) + 1 :]
        # Of the neighbours only the nearest ones are looked at: further away, all have another priority.
        others = await self.several(beside[:20])
        return next((each.id for each in others if each.priority == found.priority), "")

    async def set_priority(self, job: str, owner: str | None, priority: int) -> None:
        """Give a waiting job another priority. Raises InvalidParameter, and as `move`."""
        if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
            raise InvalidParameter("priority", "priority is out of range.", hint="Give -10 (last) to 10 (first).")
        await to_the_end(self._workbench.store.lineup.set_priority(job, owner, priority))
        self._changed()

    async def clear(self, owner: str, *, running: bool = False) -> int:
        """Cancel all that an owner has waiting, and what runs too when told; how many that concerned."""
        concerned = await to_the_end(self._workbench.store.lineup.clear(owner, running=running))
        for job in concerned:
            self._board.post(job)
        self._changed()
        return len(concerned)

    async def again(self, job: str, owner: str | None, *, graphs: bool = False) -> Job:
        """Ask for what a job was asked for, with the same seed. It is judged as any request: what is locked now counts,
        and only who may send ``graphs`` has one run again.

        Raises:
            NotFound: there is no such job, or its template is gone.
            NotAllowed: it is a graph, and the caller or the settings may send none.
            BadRequest: a chat that only those can ask again who asked it.
            InvalidParameter and others as `Workbench.submit` and `Graphs.submit`.
        """
        workbench = self._workbench
        found = await workbench.store.get(job, owner)
        queued = await (self._graph_again(found, graphs) if found.template == GRAPH else self._request_again(found))
        self._changed()
        return queued

    async def _graph_again(self, job: Job, graphs: bool) -> Job:
        if not self.can_again(job, graphs=graphs):
            raise NotAllowed(
                "A workflow of one's own may not be sent again from here.",
                hint="That needs a token with the right `graphs`, and the setting comfyui_routes.",
            )
        return await self._workbench.graphs.submit(job.bound.graph, job.owner)

    async def _request_again(self, job: Job) -> Job:
        request = request_again(job, await self._workbench.store.lineup.needs(job.id))
        if request is None:
            raise BadRequest("This chat cannot be asked again from here.", hint="Ask again where it was asked.")
        return await self._workbench.submit(request)

    def can_again(self, job: Job, *, graphs: bool) -> bool:
        """Whether `again` is worth offering to who may send ``graphs``, or may not."""
        if job.template == GRAPH:
            return graphs and self._workbench.settings.comfyui_routes
        return request_again(job) is not None

    def _changed(self) -> None:
        self._places.forget()
        self._seen_at = float("-inf")
        self._board.post_work()
