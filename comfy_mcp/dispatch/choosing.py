"""What starts next: the policy over the lanes of the store and those of the guests together.

Owns what guests changed of a card's batch and of the turns, as long as the store need not know: the usual guest, of the
model that is loaded, writes nothing. What is lost of it with the process costs somebody one turn.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from comfy_mcp.backends import Pool
from comfy_mcp.dispatch.guest import Guest
from comfy_mcp.store import Queue, Start
from llm_bridge.scheduling import Batch, Lane, Policy, decide

__all__ = ["Choice", "Choosing"]

_STEP = 2.0**-20
"""Between two guests in the order of arrival, which has whole numbers for jobs: exact for all that ever wait."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``start`` is what the policy wants, if anything: the head of a stored lane, or the ``guest``.

    ``unload`` are the backends that let go of the card first. ``loads`` is False for a guest that goes on with what the
    card is at, so that there is nothing to record. ``unserved``: something waits that no backend is known to take.
    """

    start: Start | None = None
    unload: tuple[str, ...] = ()
    guest: Guest | None = None
    loads: bool = False
    unserved: bool = False


class Choosing:
    """The choices of one dispatcher, who alone starts anything."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._policy = Policy()
        self._began: dict[str, tuple[float, float]] = {}
        self._served: dict[str, None] = {}
        self._last = 0.0

    def choose(self, queue: Queue, guests: Sequence[Guest], closed: Collection[str] = ()) -> Choice:
        """What starts next; nothing goes to the backends that are ``closed``. Safe in any thread, one at a time."""
        self._stamp(guests, queue.newest)
        groups, lanes = self._lanes(guests), list(queue.lanes)
        lanes += [_lane(number, group[0]) for number, group in enumerate(groups, 1)]
        names = frozenset[str]().union(*(lane.needs for lane in lanes))
        servers = [
            replace(server, open=False) if server.name in closed else server for server in self._pool.servers(names)
        ]
        unserved = any(not any(lane.needs <= server.offers for server in servers) for lane in lanes)
        turns = self._turns(queue.turns)
        run = decide(lanes, servers, self._batches(queue.batches), turns, self._policy)
        if run is None:
            return Choice(unserved=unserved)
        card = next(server.card for server in servers if server.name == run.server)
        start = Start(run.lane, run.server, card, run.begins, tuple(self._served))
        guest = groups[-run.lane - 1][0] if run.lane < 0 else None
        at = queue.batches.get(card)
        loads = guest is not None and (at is None or (at.server, at.model) != (run.server, guest.model))
        return Choice(start, run.unload, guest, loads, unserved)

    def started(self, choice: Choice) -> None:
        """What was chosen has been started; of a job, it is on disk."""
        start, guest = choice.start, choice.guest
        assert start is not None
        if start.begins:
            self._began[start.card] = (self._last, time.monotonic())
        if guest is None:
            self._served.clear()
        else:
            self._served.pop(guest.owner, None)
            self._served[guest.owner] = None

    def _stamp(self, guests: Sequence[Guest], newest: int) -> None:
        """The place of newcomers: after every job that was queued before they came."""
        self._last = max(self._last, newest)
        for guest in guests:
            if guest.order is None:
                guest.order = self._last = self._last + _STEP

    def _lanes(self, guests: Sequence[Guest]) -> list[list[Guest]]:
        """Those that are alike to the policy, in their order."""
        groups: dict[object, list[Guest]] = {}
        for guest in guests:
            groups.setdefault((guest.owner, guest.priority, guest.model, guest.needs), []).append(guest)
        return list(groups.values())

    def _batches(self, known: Mapping[str, Batch]) -> dict[str, Batch]:
        """What the cards are at. A batch that a guest moved on knows its newer gate and age."""
        now = time.monotonic()
        began = {card: self._began.get(card, (float("-inf"), now)) for card in known}
        return {
            card: replace(batch, gate=began[card][0], age=now - began[card][1])
            if began[card][0] > batch.gate
            else batch
            for card, batch in known.items()
        }

    def _turns(self, known: Mapping[str, int]) -> dict[str, int]:
        turns, last = dict(known), max(known.values(), default=0)
        return turns | {owner: last + number for number, owner in enumerate(self._served, 1)}


def _lane(number: int, guest: Guest) -> Lane:
    """A lane of guests, below all that the store numbers."""
    assert guest.order is not None
    waited = max(0.0, time.monotonic() - guest.arrived)
    return Lane(-number, guest.owner, guest.priority, guest.model, guest.needs, guest.order, waited)
