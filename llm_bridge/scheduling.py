"""What runs next, and where: one pure function over plain data, with no clock, no I/O and no memory of its own.

The queue of pictures and the queue of texts both ask it. Alike jobs wait in lanes; servers stand on cards (a GPU that
several servers may share); a card works in batches, since changing the model it holds can cost more than a job.

The order on a card, most important first:

1. Priority, which a waiting job gains with time (`Policy.ageing`), so that nothing starves behind important jobs. It
   rises at most to the highest priority that waits: above that, age alone would turn a long queue into first come,
   first served, with a change of model for every few jobs, and would let an owner's old jobs block another's new one.
2. The batch that the card has begun: the jobs of its model that waited when the batch began (its gate), and newcomers
   of the same model as long as nobody else has waited longer than `Policy.patience`. This is gated polling (H. Takagi,
   "Analysis of Polling Systems", 1986) with an extension: every other job waits at most for one gate of each model.
3. Turns between owners: inside a batch, and for the next one, the owner who was served longest ago comes first. A batch
   ends after `Policy.batch` seconds if it keeps somebody waiting whose turn was before that of everyone in it.
4. Age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Batch", "Lane", "Policy", "Run", "Server", "decide"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds: ``ageing`` of waiting is worth one step of priority; ``patience`` and ``batch`` as told above."""

    ageing: float = 600.0
    patience: float = 10.0
    batch: float = 300.0


@dataclass(frozen=True, slots=True)
class Lane:
    """Waiting jobs that are alike to the policy, oldest first.

    ``model`` is what must be loaded, "" when nothing need be. ``needs`` is what a server must offer. ``oldest`` is the
    place of the first job in the order of arrival, and ``waited`` its seconds in the queue.
    """

    id: int
    owner: str
    priority: int
    model: str
    needs: frozenset[str]
    oldest: float
    waited: float


@dataclass(frozen=True, slots=True)
class Server:
    """``slots`` jobs run on it at once, ``running`` do now. ``open`` is False while it is down, paused or drained."""

    name: str
    card: str
    offers: frozenset[str]
    slots: int = 1
    running: int = 0
    open: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """What a card is at: ``model`` on ``server``, since ``age`` seconds, for jobs that arrived up to ``gate``."""

    server: str
    model: str
    gate: float
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """Start the oldest job of ``lane`` on ``server``, after ``unload`` (other servers of the card) let go of it.

    ``begins`` is True when this begins a new batch, whose gate is every job that waits now.
    """

    lane: int
    server: str
    unload: tuple[str, ...] = ()
    begins: bool = False


@dataclass(frozen=True, slots=True)
class _Choice:
    """What one card would do. Of several cards, the one that need not change its model goes first, then the idler."""

    changes: bool
    load: float
    run: Run


def decide(
    lanes: Sequence[Lane],
    servers: Sequence[Server],
    batches: Mapping[str, Batch],
    turns: Mapping[str, int],
    policy: Policy,
) -> Run | None:
    """The next job to start, or None when nothing can start now. Ask again after every start and every end.

    ``batches`` is by card, absent for a card of which nothing is known. ``turns`` is by owner: a number that grows,
    told when the owner was last served; one who never was is absent, and comes first.
    """
    choices = [
        choice
        for card in {server.card for server in servers}
        if (choice := _on_card([s for s in servers if s.card == card], lanes, batches.get(card), turns, policy))
    ]
    best = min(choices, key=lambda choice: (choice.changes, choice.load, choice.run.server), default=None)
    return best and best.run


def _on_card(
    here: Sequence[Server], lanes: Sequence[Lane], batch: Batch | None, turns: Mapping[str, int], policy: Policy
) -> _Choice | None:
    wanted = _most_urgent([lane for lane in lanes if _takers(lane, here)], policy)
    if not wanted:
        return None
    kept = wanted
    if batch is not None:
        joining = [lane for lane in wanted if _joins(lane, batch, here)]
        joined = {lane.id for lane in joining}
        others = [lane for lane in wanted if lane.id not in joined]
        admitted = _admitted(joining, others, batch, turns, policy)
        if admitted:
            return _go_on(_first(admitted, turns), batch, here, alone=not others)
        kept = others
    if any(server.running for server in here):
        # The batch is over, but its last jobs still hold the card.
        return None
    return _begin(_first(kept, turns), batch, here)


def _takers(lane: Lane, servers: Iterable[Server]) -> list[Server]:
    return [server for server in servers if server.open and lane.needs <= server.offers]


def _most_urgent(lanes: Sequence[Lane], policy: Policy) -> list[Lane]:
    top = max((lane.priority for lane in lanes), default=0)
    return [lane for lane in lanes if lane.priority + int(lane.waited / policy.ageing) >= top]


def _joins(lane: Lane, batch: Batch, here: Sequence[Server]) -> bool:
    """Whether it runs where the batch does without a change of model."""
    return lane.model in ("", batch.model) and any(server.name == batch.server for server in _takers(lane, here))


def _admitted(
    joining: Sequence[Lane], others: Sequence[Lane], batch: Batch, turns: Mapping[str, int], policy: Policy
) -> Sequence[Lane]:
    """The lanes that may go on with the batch; none when it is over."""
    admitted = joining
    if any(lane.waited > policy.patience for lane in others):
        gated = [lane for lane in joining if lane.oldest <= batch.gate]
        # Who has nothing else in the batch may join it late, or another owner's many jobs would keep him out; as owners
        # take turns, that delays the end of the batch at most once for each of those jobs.
        owners = {lane.owner for lane in gated}
        admitted = [lane for lane in joining if lane.oldest <= batch.gate or lane.owner not in owners] if gated else []
    if admitted and others and batch.age > policy.batch and _turn(others, turns) < _turn(admitted, turns):
        return []
    return admitted


def _turn(lanes: Iterable[Lane], turns: Mapping[str, int]) -> int:
    return min(turns.get(lane.owner, -1) for lane in lanes)


def _first(lanes: Sequence[Lane], turns: Mapping[str, int]) -> Lane:
    return min(lanes, key=lambda lane: (turns.get(lane.owner, -1), lane.oldest))


def _go_on(lane: Lane, batch: Batch, here: Sequence[Server], *, alone: bool) -> _Choice | None:
    """``alone``: nobody waits for another model, so that a newcomer may move the gate and start the clock anew."""
    server = next(server for server in here if server.name == batch.server)
    if server.running >= server.slots or any(other.running for other in here if other is not server):
        # Another server still holds the card when it was taken out of the settings over its last jobs.
        return None
    begins = alone and lane.oldest > batch.gate
    return _Choice(False, server.running / server.slots, Run(lane.id, server.name, begins=begins))


def _begin(lane: Lane, batch: Batch | None, here: Sequence[Server]) -> _Choice:
    """On an idle card, on the server that the card is at where that is possible: then nothing must be unloaded."""
    takers = _takers(lane, here)
    server = min(takers, key=lambda server: (batch is None or server.name != batch.server, server.name))
    # Of a card of which nothing is known, every server may hold memory.
    unload = sorted(
        other.name for other in here if other is not server and (batch is None or other.name == batch.server)
    )
    return _Choice(True, 0.0, Run(lane.id, server.name, tuple(unload), begins=True))
