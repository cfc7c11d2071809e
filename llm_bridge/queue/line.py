"""Who waits for what: lanes of alike requests, the batch of each card, and the turns of the owners.

Pure bookkeeping around `scheduling.decide`, with the time told by the caller. Used by the queue alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_bridge.forecast import Waiting, forecast
from llm_bridge.scheduling import Batch, Lane, Policy, Run, Server, decide

__all__ = ["Kind", "Line", "Ticket", "offer"]

_MOST_TURNS = 1024
"""Owners whose last turn is remembered; one who was forgotten comes first, as one who was never served."""


def offer(models: Iterable[str], server: str) -> frozenset[str]:
    """What a server offers to the policy: itself, to those who want no other, and its models."""
    return frozenset({f"server {server}", *(f"model {model}" for model in models)})


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes requests alike. ``server`` is the only one that will do, "" when any with the model will."""

    owner: str
    priority: int
    model: str
    server: str = ""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"server {self.server}" if self.server else f"model {self.model}"})


class Ticket:
    """A place in the line. ``seq`` is its place in the order of arrival, which it keeps when it must wait again."""

    def __init__(self, kind: Kind, seq: int, arrived: float) -> None:
        self.kind, self.seq, self.arrived = kind, seq, arrived


T = TypeVar("T", bound=Ticket)


class Line(Generic[T]):
    """The waiting tickets. ``free`` tells of a kind whether its requests run wherever they can without a load."""

    def __init__(self, policy: Policy, free: Callable[[Kind], bool]) -> None:
        self._policy, self._free = policy, free
        self._lanes: dict[Kind, dict[int, T]] = {}
        self._ids: dict[Kind, int] = {}
        self._last_id = 0
        self._newest = 0
        # By card: the server, its model, the gate, and when the batch began.
        self._batches: dict[str, tuple[str, str, int, float]] = {}
        self._turns: dict[str, int] = {}
        self._last_turn = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __contains__(self, ticket: T) -> bool:
        return ticket.seq in self._lanes.get(ticket.kind, ())

    @property
    def kinds(self) -> Iterable[Kind]:
        """Those of which somebody waits."""
        return self._lanes.keys()

    @property
    def tickets(self) -> list[T]:
        """All that wait, in the order of arrival."""
        return sorted((each for lane in self._lanes.values() for each in lane.values()), key=lambda each: each.seq)

    def of(self, kind: Kind) -> list[T]:
        """Those of one kind, in the order of arrival."""
        return list(self._lanes.get(kind, {}).values())

    def waiting(self, kind: Kind) -> int:
        return len(self._lanes.get(kind, ()))

    def add(self, ticket: T) -> None:
        """Let it wait; one that waited before gets its old place back."""
        lane = self._lanes.setdefault(ticket.kind, {})
        if ticket.kind not in self._ids:
            self._last_id += 1
            self._ids[ticket.kind] = self._last_id
        again = ticket.seq < max(lane, default=0)
        lane[ticket.seq] = ticket
        if again:
            self._lanes[ticket.kind] = dict(sorted(lane.items()))
        self._newest = max(self._newest, ticket.seq)

    def remove(self, ticket: T) -> None:
        """It does not wait any more; nothing happens when it does not."""
        lane = self._lanes.get(ticket.kind, {})
        lane.pop(ticket.seq, None)
        if not lane:
            self._lanes.pop(ticket.kind, None)
            self._ids.pop(ticket.kind, None)

    def next(self, servers: Sequence[Server], now: float) -> tuple[T, Run] | None:
        """The ticket that starts now, and where; it waits no more. None when none can. Ask again after each."""
        if not self._lanes:
            return None
        run = decide(self._seen(now), servers, self._begun(now), self._turns, self._policy)
        if run is None:
            return None
        kind = next(kind for kind, number in self._ids.items() if number == run.lane)
        ticket = next(iter(self._lanes[kind].values()))
        if run.begins:
            card = next(server.card for server in servers if server.name == run.server)
            self._begin(card, run.server, "" if self._free(kind) else kind.model, now)
        self._serve(kind.owner)
        self.remove(ticket)
        return ticket, run

    def places(self, servers: Sequence[Server], running: Sequence[str], now: float) -> dict[int, int]:
        """By seq, how many start before it, as far as some server takes it. ``running`` are servers, once a request."""
        waiting = [Waiting(str(each.seq), self._ids[each.kind], each.seq) for each in self.tickets]
        found = forecast(
            waiting,
            self._seen(now),
            servers,
            self._begun(now),
            self._turns,
            policy=self._policy,
            seconds={},
            left=[(name, None) for name in running],
        )
        return {int(seq): place.position for seq, place in found.items()}

    def _seen(self, now: float) -> list[Lane]:
        lanes: list[Lane] = []
        for kind, lane in self._lanes.items():
            first = next(iter(lane.values()))
            model, waited = "" if self._free(kind) else kind.model, max(0.0, now - first.arrived)
            lanes.append(Lane(self._ids[kind], kind.owner, kind.priority, model, kind.needs, first.seq, waited))
        return lanes

    def _begun(self, now: float) -> dict[str, Batch]:
        return {
            card: Batch(server, model, gate, now - began)
            for card, (server, model, gate, began) in self._batches.items()
        }

    def _begin(self, card: str, server: str, model: str, now: float) -> None:
        before = self._batches.get(card)
        # A request that needs no model leaves the one that its server holds.
        held = before[1] if before is not None and before[0] == server else ""
        self._batches[card] = (server, model or held, self._newest, now)

    def _serve(self, owner: str) -> None:
        self._last_turn += 1
        self._turns.pop(owner, None)
        self._turns[owner] = self._last_turn
        if len(self._turns) > _MOST_TURNS:
            del self._turns[next(iter(self._turns))]
