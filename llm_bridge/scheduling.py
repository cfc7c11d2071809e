"""What runs next, and where: one pure function over plain data, with no clock, no I/O and no memory of its own.

The queue of pictures and the queue of texts both ask it. Alike jobs wait in lanes; servers stand on cards (a GPU that
several servers may share); a card works in batches, since changing the model it holds can cost more than a job.

The order, most important first:

1. Priority, which a waiting job gains with time (`Policy.ageing`), so that nothing starves behind important jobs.
2. The batch that a card has begun: the jobs of its model that waited when the batch began (its gate), and newcomers of
   the same model as long as nobody else has waited longer than `Policy.patience`. This is gated polling (H. Takagi,
   "Analysis of Polling Systems", 1986) with an extension: every other job waits at most for one gate of each model.
3. Turns between owners: a batch that keeps another owner waiting ends after `Policy.batch` seconds, and inside a batch
   the owner who was served longest ago comes first.
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
    patience: float = 60.0
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
    oldest: int
    waited: float


@dataclass(frozen=True, slots=True)
class Server:
    """``slots`` jobs run on it at once and ``running`` do now. ``open``: neither down, paused nor drained."""

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
    gate: int
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
    run: Run
    changes_model: bool
    loaded_elsewhere: bool
    load: float


def decide(
    lanes: Sequence[Lane],
    servers: Sequence[Server],
    batches: Mapping[str, Batch],
    turns: Mapping[str, int],
    policy: Policy,
) -> Run | None:
    """The next job to start, or None when nothing can start now. Ask again after every start and every end.

    ``batches`` is by card, absent for a card of which nothing is known. ``turns`` is by owner, a number that grows:
    when the owner was last served. An owner who never was is absent.
    """
    choices = [
        choice
        for card in dict.fromkeys(server.card for server in servers)
        if (choice := _on_card(card, lanes, servers, batches, turns, policy)) is not None
    ]
    if not choices:
        return None
    best = min(choices, key=lambda choice: (choice.changes_model, choice.loaded_elsewhere, choice.load))
    return best.run


def _on_card(
    card: str,
    lanes: Sequence[Lane],
    servers: Sequence[Server],
    batches: Mapping[str, Batch],
    turns: Mapping[str, int],
    policy: Policy,
) -> _Choice | None:
    here = [server for server in servers if server.card == card]
    waiting = [lane for lane in lanes if _takers(lane, here)]
    if not waiting:
        return None
    batch = batches.get(card)
    wanted = _most_urgent(waiting, policy)
    joining = [] if batch is None else [lane for lane in wanted if _joins(lane, batch, here)]
    if batch is not None and joining:
        others = [lane for lane in wanted if lane not in joining]
        if chosen := _in_batch(joining, others, batch, turns, policy):
            return _start(chosen, [_named(here, batch.server)], batch, here, batches)
    if any(server.running for server in here):
        # The batch is over, but its last jobs still hold the card.
        return None
    chosen = _first(_fresh(wanted, joining, batch, policy), turns)
    takers = _takers(chosen, here)
    same = [server for server in takers if batch is not None and server.name == batch.server]
    return _start(chosen, same or takers, batch, here, batches)


def _takers(lane: Lane, servers: Iterable[Server]) -> list[Server]:
    return [server for server in servers if server.open and lane.needs <= server.offers]


def _most_urgent(lanes: Sequence[Lane], policy: Policy) -> list[Lane]:
    urgency = [lane.priority + int(lane.waited / policy.ageing) for lane in lanes]
    most = max(urgency)
    return [lane for lane, urgent in zip(lanes, urgency, strict=True) if urgent == most]


def _named(servers: Iterable[Server], name: str) -> Server:
    return next(server for server in servers if server.name == name)


def _joins(lane: Lane, batch: Batch, here: Sequence[Server]) -> bool:
    """Whether it runs where the batch does without a change of model."""
    takers = {server.name for server in _takers(lane, here)}
    return batch.server in takers and lane.model in ("", batch.model)


def _in_batch(
    joining: Sequence[Lane], others: Sequence[Lane], batch: Batch, turns: Mapping[str, int], policy: Policy
) -> Lane | None:
    """The lane that goes on with the batch, or None when the batch is over."""
    owners = {lane.owner for lane in joining}
    if batch.age > policy.batch and any(lane.owner not in owners for lane in others):
        return None
    impatient = any(lane.waited > policy.patience for lane in others)
    admitted = [lane for lane in joining if lane.oldest <= batch.gate] if impatient else list(joining)
    return _first(admitted, turns) if admitted else None


def _fresh(wanted: Sequence[Lane], joining: Sequence[Lane], batch: Batch | None, policy: Policy) -> Sequence[Lane]:
    """What a new batch may begin with: after a batch that was cut short, what it kept waiting comes first."""
    others = [lane for lane in wanted if lane not in joining]
    if batch is None or not others:
        return wanted
    owners = {lane.owner for lane in joining}
    kept_waiting = [lane for lane in others if lane.owner not in owners] if batch.age > policy.batch else []
    return kept_waiting or others


def _first(lanes: Sequence[Lane], turns: Mapping[str, int]) -> Lane:
    return min(lanes, key=lambda lane: (turns.get(lane.owner, -1), lane.oldest))


def _start(
    lane: Lane, takers: Sequence[Server], batch: Batch | None, here: Sequence[Server], batches: Mapping[str, Batch]
) -> _Choice | None:
    free = [server for server in takers if server.running < server.slots]
    if not free:
        return None
    server = min(free, key=lambda server: server.running / server.slots)
    stays = batch is not None and batch.server == server.name and lane.model in ("", batch.model)
    begins = not stays or (batch is not None and lane.oldest > batch.gate)
    holders = [other.name for other in here if batch is None or other.name == batch.server]
    unload = tuple(name for name in holders if name != server.name)
    elsewhere = any(other.model == lane.model for card, other in batches.items() if card != server.card)
    return _Choice(
        Run(lane.id, server.name, unload, begins),
        not stays,
        elsewhere and bool(lane.model),
        server.running / server.slots,
    )
