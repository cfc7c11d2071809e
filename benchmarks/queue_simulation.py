"""A queue in simulated time: `llm_bridge.scheduling` driven as its callers drive it, and first come, first served.

A job that finds another model on the card waits for the change too. Shared by `affinity.py` and the tests.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from llm_bridge.scheduling import Batch, Lane, Policy, Run, Server, decide

__all__ = ["Job", "Outcome", "Queue", "affinity", "burst", "first_come", "p99", "poisson"]

ONE_SERVER = (Server("server", "card", frozenset()),)


@dataclass(frozen=True, slots=True)
class Job:
    """``seq`` is its place in the order of arrival."""

    seq: int
    arrival: float
    seconds: float
    model: str = ""
    owner: str = "me"
    priority: int = 0
    needs: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """``waits`` is by seq, in seconds from the arrival to the start of the work; ``order`` has the seqs as started."""

    switches: int = 0
    waits: dict[int, float] = field(default_factory=dict[int, float])
    order: list[int] = field(default_factory=list[int])


def burst(count: int, models: int, seconds: float, seed: int) -> list[Job]:
    """Jobs which all come at once, each for a model drawn by chance."""
    chance = random.Random(seed)
    return [Job(seq, 0.0, seconds, f"model {chance.randrange(models)}") for seq in range(count)]


def poisson(count: int, models: int, seconds: float, seed: int, load: float = 0.8) -> list[Job]:
    """Jobs that come independently of each other; ``load`` is the share of the time their work alone takes."""
    chance = random.Random(seed)
    jobs: list[Job] = []
    now = 0.0
    for seq in range(count):
        now += chance.expovariate(load / seconds)
        jobs.append(Job(seq, now, seconds, f"model {chance.randrange(models)}"))
    return jobs


def p99(outcome: Outcome) -> float:
    waits = sorted(outcome.waits.values())
    return waits[min(len(waits) - 1, int(len(waits) * 0.99))]


def first_come(jobs: Sequence[Job], switch: float) -> Outcome:
    """One server with one slot that takes the jobs as they come."""
    outcome = Outcome()
    now, loaded = 0.0, ""
    for job in sorted(jobs, key=lambda job: job.seq):
        now = max(now, job.arrival)
        if job.model not in ("", loaded):
            loaded = job.model
            outcome.switches += 1
            now += switch
        outcome.waits[job.seq] = now - job.arrival
        outcome.order.append(job.seq)
        now += job.seconds
    return outcome


def affinity(
    jobs: Sequence[Job],
    switch: float,
    servers: Sequence[Server] = ONE_SERVER,
    policy: Policy | None = None,
    watch: Callable[[Queue, Job, Run], None] | None = None,
) -> Outcome:
    """What `decide` makes of the same jobs. ``watch`` sees every decision before it is carried out."""
    queue = Queue(servers, switch, policy or Policy())
    coming = deque(sorted(jobs, key=lambda job: job.seq))
    while coming or queue.ends:
        queue.now = min(coming[0].arrival if coming else inf, queue.ends[0][0] if queue.ends else inf)
        while queue.ends and queue.ends[0][0] <= queue.now:
            queue.running[heapq.heappop(queue.ends)[2]] -= 1
        while coming and coming[0].arrival <= queue.now:
            queue.arrive(coming.popleft())
        while (run := queue.decide()) is not None:
            if watch is not None:
                watch(queue, queue.lanes[run.lane][0], run)
            queue.carry_out(run)
    return queue.outcome


class Queue:
    """What a caller keeps: the lanes, what runs where, the batch of each card, and the turns of the owners."""

    def __init__(self, servers: Sequence[Server], switch: float, policy: Policy) -> None:
        self.now = 0.0
        self.lanes: dict[int, deque[Job]] = {}
        self.batches: dict[str, Batch] = {}
        self.running: dict[str, int] = defaultdict(int)
        # When a job ends, its seq, and its server.
        self.ends: list[tuple[float, int, str]] = []
        self.servers = {server.name: server for server in servers}
        self.outcome = Outcome()
        self._switch, self._policy = switch, policy
        self._ids: dict[tuple[str, int, str, frozenset[str]], int] = {}
        self._newest = -1
        self._began: dict[str, float] = {}
        self._loaded: dict[str, tuple[str, str]] = {}
        self._turns: dict[str, int] = {}

    def arrive(self, job: Job) -> None:
        self._newest = job.seq
        number = self._ids.setdefault((job.owner, job.priority, job.model, job.needs), len(self._ids))
        self.lanes.setdefault(number, deque()).append(job)

    def decide(self) -> Run | None:
        lanes = [
            Lane(number, job.owner, job.priority, job.model, job.needs, job.seq, self.now - job.arrival)
            for number, job in ((number, lane[0]) for number, lane in self.lanes.items() if lane)
        ]
        servers = [replace(server, running=self.running[name]) for name, server in self.servers.items()]
        batches = {card: replace(batch, age=self.now - self._began[card]) for card, batch in self.batches.items()}
        return decide(lanes, servers, batches, self._turns, self._policy)

    def carry_out(self, run: Run) -> None:
        job = self.lanes[run.lane].popleft()
        card = self.servers[run.server].card
        before = self._loaded.get(card, ("", ""))
        seconds = job.seconds
        if job.model and before != (run.server, job.model):
            self.outcome.switches += 1
            seconds += self._switch
            self._loaded[card] = (run.server, job.model)
        if run.begins:
            batch = self.batches.get(card)
            held = batch.model if batch is not None and batch.server == run.server else ""
            self.batches[card] = Batch(run.server, job.model or held, self._newest)
            self._began[card] = self.now
        self._turns[job.owner] = len(self.outcome.order)
        self.outcome.waits[job.seq] = self.now + seconds - job.seconds - job.arrival
        self.outcome.order.append(job.seq)
        self.running[run.server] += 1
        heapq.heappush(self.ends, (self.now + seconds, job.seq, run.server))
