"""Who starts when: the scheduling policy played forward over what waits, with measured durations.

Pure, as the policy is. Used for the place in the queue that a person is shown.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from llm_bridge.scheduling import Batch, Lane, Policy, Server, decide

__all__ = ["Place", "Waiting", "forecast"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting job: its id, its lane, and its place in the order of arrival."""

    job: str
    lane: int
    seq: int


@dataclass(frozen=True, slots=True)
class Place:
    """``position`` waiting jobs start before it; it starts in about ``starts_in`` seconds, None when nobody knows."""

    position: int
    starts_in: float | None


def forecast(
    waiting: Sequence[Waiting],
    lanes: Sequence[Lane],
    servers: Sequence[Server],
    batches: Mapping[str, Batch],
    turns: Mapping[str, int],
    *,
    policy: Policy,
    seconds: Mapping[int, float],
    left: Sequence[tuple[str, float | None]],
) -> dict[str, Place]:
    """The place of each of the ``waiting`` jobs that some server will take, by job.

    ``waiting`` is in the order of arrival; what the ``servers`` say of running jobs does not count. ``seconds`` is
    what a job of a lane takes, where that was measured;
    ``left`` are pairs of a server and the seconds that one of its running jobs still needs. Nothing else is known to
    arrive, so a newcomer of higher priority or of the loaded model can make it later.
    """
    usual = fmean(seconds.values()) if seconds else None
    play = _Play(waiting, lanes, servers, batches, turns)
    for name, needs in left:
        play.runs(name, needs if needs is not None else (usual or 0.0))
    places: dict[str, Place] = {}
    while True:
        started = play.start(policy)
        if started is not None:
            job, server = started
            places[job.job] = Place(len(places), round(play.now, 1) if usual is not None else None)
            play.runs(server, seconds.get(job.lane, usual or 0.0))
        elif not play.wait_for_an_end():
            return places


class _Play:
    """The queue as it will be at ``now`` seconds from now."""

    def __init__(
        self,
        waiting: Sequence[Waiting],
        lanes: Sequence[Lane],
        servers: Sequence[Server],
        batches: Mapping[str, Batch],
        turns: Mapping[str, int],
    ) -> None:
        self.now = 0.0
        self._jobs: dict[int, deque[Waiting]] = {}
        for job in waiting:
            self._jobs.setdefault(job.lane, deque()).append(job)
        self._lanes = {lane.id: lane for lane in lanes if lane.id in self._jobs}
        self._servers = {server.name: replace(server, running=0) for server in servers}
        self._batches, self._began = dict(batches), {card: -batch.age for card, batch in batches.items()}
        self._turns = dict(turns)
        self._ends: list[tuple[float, str]] = []

    def runs(self, name: str, seconds: float) -> None:
        """One more job runs there, for so long."""
        heapq.heappush(self._ends, (self.now + seconds, name))
        if (server := self._servers.get(name)) is not None:
            self._servers[name] = replace(server, running=server.running + 1)

    def wait_for_an_end(self) -> bool:
        if not self._ends or not self._lanes:
            return False
        self.now, name = heapq.heappop(self._ends)
        if (server := self._servers.get(name)) is not None:
            self._servers[name] = replace(server, running=server.running - 1)
        return True

    def start(self, policy: Policy) -> tuple[Waiting, str] | None:
        lanes = [
            replace(lane, oldest=self._jobs[lane.id][0].seq, waited=lane.waited + self.now)
            for lane in self._lanes.values()
        ]
        batches = {card: replace(batch, age=self.now - self._began[card]) for card, batch in self._batches.items()}
        run = decide(lanes, list(self._servers.values()), batches, self._turns, policy)
        if run is None:
            return None
        lane, server = self._lanes[run.lane], self._servers[run.server]
        job = self._jobs[run.lane].popleft()
        if not self._jobs[run.lane]:
            del self._lanes[run.lane]
        self._turns[lane.owner] = max(self._turns.values(), default=0) + 1
        if run.begins:
            before = self._batches.get(server.card)
            model = lane.model or (before.model if before is not None and before.server == server.name else "")
            gate = max((jobs[-1].seq for jobs in self._jobs.values() if jobs), default=job.seq)
            self._batches[server.card] = Batch(server.name, model, max(gate, job.seq))
            self._began[server.card] = self.now
        return job, server.name
