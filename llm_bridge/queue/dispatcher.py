"""The one place that decides what starts: called after every arrival, every end and every change of a server.

Owns the line and who runs where. The policy is `scheduling.decide`; requests and servers are moved by nobody else.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from math import inf

from llm_bridge.chat import Waiting
from llm_bridge.errors import BridgeError, UnknownModel
from llm_bridge.queue.asked import Asked
from llm_bridge.queue.host import Host
from llm_bridge.queue.line import Kind, Line
from llm_bridge.scheduling import Policy, Run, Server

__all__ = ["Dispatcher"]

_ANNOUNCE_SECONDS = 0.1
_ANNOUNCE_SHARE = 20.0
"""Between two announcements there is at least so many times what the last one took."""


class Dispatcher:
    """``keep`` is seconds that a model rests before it is unloaded, None to leave that to its server.

    ``patience`` is for how many seconds a request waits while every server that would do is away.
    """

    def __init__(self, policy: Policy, keep: float | None, patience: float) -> None:
        self.hosts: dict[str, Host] = {}
        self.line: Line[Asked] = Line(policy, self._is_free)
        self._keep, self._patience = keep, patience
        self._announcing: asyncio.TimerHandle | None = None
        self._announce_at = 0.0
        self._expiring: asyncio.TimerHandle | None = None
        self._closed = False

    def enter(self, asked: Asked) -> None:
        """Let it wait. Its ``place`` is decided at once when there is one."""
        asked.place = asyncio.get_running_loop().create_future()
        self.line.add(asked)
        self.schedule()

    def leave(self, asked: Asked) -> None:
        """It waits no more and runs no more."""
        self.line.remove(asked)
        model, host = asked.kind.model, self.hosts.get(asked.server or "")
        if host is not None:
            del host.running[asked]
            asked.server = None
        self.schedule()
        for each in (host,) if host is not None else [each for each in self.hosts.values() if model in each.loading]:
            self._left(each, model)

    def schedule(self) -> None:
        """Start what can start now."""
        if self._closed:
            return
        now = time.monotonic()
        while (found := self.line.next(self._servers(now), now)) is not None:
            self._start(*found)
        if len(self.line):
            self._heed_waiting()

    def close(self) -> None:
        """Start nothing any more."""
        self._closed = True
        for timer in (self._announcing, self._expiring):
            if timer is not None:
                timer.cancel()

    def takers(self, kind: Kind) -> list[Host]:
        """Where its requests may run: the servers that list the model, else those that have no list."""
        listing = self.listing(kind)
        return listing or [host for host in self.hosts.values() if host.unlisted and not kind.server]

    def listing(self, kind: Kind) -> list[Host]:
        return [host for host in self.hosts.values() if host.takes(kind)]

    def listed(self, kind: Kind) -> Kind:
        """The same under the name that lists have for its model, so that all requests for it are alike."""
        names = [host.loader.listed(kind.model) for host in self.listing(kind)]
        return kind if not names or kind.model in names else replace(kind, model=names[0])

    def back(self, kind: Kind, now: float) -> float:
        """Before when surely none of its requests can start; ``now`` when one may at once."""
        away = [host.away(now) for host in self.takers(kind)]
        return min((each.until if each is not None else now for each in away), default=now)

    def _servers(self, now: float, *, whole: bool = False) -> list[Server]:
        """All, for the policy."""
        hosts, nowhere = self.hosts.values(), frozenset[str]()
        if any(host.unlisted for host in hosts):
            nowhere = nowhere.union(*(kind.needs for kind in self.line.kinds if not self.listing(kind)))
        return [host.server(now, nowhere, whole=whole) for host in hosts]

    def unknown(self, model: str) -> UnknownModel:
        """No server that answers has it."""
        known = sorted({each.id for host in self.hosts.values() for each in host.loader.models})
        near = get_close_matches(model, known, 5, 0.4) or known[:5]
        away = [host.name for host in self.hosts.values() if host.failure is not None]
        silent = f" Not asked, since they do not answer: {', '.join(away)}." if away else ""
        return UnknownModel(
            f"No server has a model {model[:128]!r}.", hint=f"Near it: {', '.join(near) or 'none'}.{silent}"
        )

    def _is_free(self, kind: Kind) -> bool:
        takers = self.takers(kind)
        return bool(takers) and all(host.keeps(kind.model) for host in takers)

    def _start(self, asked: Asked, run: Run) -> None:
        host, asked.server = self.hosts[run.server], run.server
        host.running[asked] = None
        host.prepare(asked.kind.model, [self.hosts[name] for name in run.unload])
        assert asked.place is not None
        if not asked.place.done():
            asked.place.set_result(host.name)

    def _left(self, host: Host, model: str) -> None:
        """A request for ``model`` is over: when it was the last one, so is what was done for it."""
        if host.runs(model) or any(kind.model == model and host in self.takers(kind) for kind in self.line.kinds):
            return
        if model in host.loading:
            host.abandon(model)
        elif self._keep is not None and host.failure is None:
            host.rest(model, self._keep)

    def _heed_waiting(self) -> None:
        for host in self.hosts.values():
            if host.failure is not None and self._is_wanted(host):
                host.probe(lambda host=host: self._is_wanted(host))
        self._expire()
        if self._announcing is None:
            delay = max(0.0, self._announce_at - time.monotonic())
            self._announcing = asyncio.get_running_loop().call_later(delay, self._announce)

    def _is_wanted(self, host: Host) -> bool:
        """Whether somebody waits who may run there, as far as it was ever asked what it has."""
        unseen = host.loader.looked is None
        return any(host in self.takers(kind) or (unseen and not kind.server) for kind in self.line.kinds)

    def _expire(self) -> None:
        """End the waits that lead nowhere, and come back when the next one will."""
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None
        now, soonest = time.monotonic(), inf
        for kind in list(self.line.kinds):
            soonest = min(soonest, self._expire_kind(kind, now))
        if soonest < inf:
            self._expiring = asyncio.get_running_loop().call_later(soonest - now, self._expire)

    def _expire_kind(self, kind: Kind, now: float) -> float:
        """When its next request expires."""
        takers = self.takers(kind)
        if not takers and any(host.loader.looked is not None for host in self.hosts.values()):
            self._refuse(self.line.of(kind), self.unknown(kind.model))
            return inf
        takers = takers or list(self.hosts.values())
        away = [each for host in takers if (each := host.away(now)) is not None]
        if len(away) < len(takers):
            return inf
        since, back = max(each.since for each in away), min(each.until for each in away)
        for ticket in self.line.of(kind):
            deadline = max(since, ticket.arrived) + self._patience
            if max(now, back) < deadline:
                return deadline
            self._refuse([ticket], away[0].failure)
        return inf

    def _refuse(self, tickets: Iterable[Asked], failure: BridgeError) -> None:
        for ticket in tickets:
            assert ticket.place is not None
            self.line.remove(ticket)
            if not ticket.place.done():
                # Each reader gets a failure of its own, since raising it writes into it.
                ticket.place.set_exception(copy.copy(failure))

    def _announce(self) -> None:
        """Tell those who wait how many start before them."""
        self._announcing, began = None, time.monotonic()
        if not len(self.line):
            return
        running = [host.name for host in self.hosts.values() for _ in host.running]
        places = self.line.places(self._servers(began, whole=True), running, began)
        for position, ticket in enumerate(self.line.tickets):
            ahead = places.get(ticket.seq, position)
            if ticket.ahead != ahead:
                ticket.ahead = ahead
                ticket.feed.put(Waiting(ahead))
        took = time.monotonic() - began
        self._announce_at = began + max(_ANNOUNCE_SECONDS, _ANNOUNCE_SHARE * took)

    def refuse_alike(self, asked: Asked, failure: BridgeError) -> None:
        """Its model cannot be loaded where it runs; that ends the wait of all who want it and have no other server."""
        for kind in list(self.line.kinds):
            if kind.model == asked.kind.model and [host.name for host in self.takers(kind)] == [asked.server]:
                self._refuse(self.line.of(kind), failure)
