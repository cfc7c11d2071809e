"""Which sockets hear of which jobs: those of the same owner under the same client id, whichever came first.

Owns the only memory of client ids, which are a stranger's texts, so all of it is bounded. Knows no protocol.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["Hub", "Listener"]

_MOST_CLIENTS, _MOST_OF_ONE = 4_096, 64
_MOST_JOBS = 64
_MOST_SOCKETS = 64
"""Of one owner. LobeHub opens one with every picture and closes none."""


class Listener:
    """One socket: the jobs it is to tell of come out of ``jobs``, which ends when the socket has to go."""

    def __init__(self) -> None:
        self._send: MemoryObjectSendStream[str]
        self.jobs: MemoryObjectReceiveStream[str]
        self._send, self.jobs = anyio.create_memory_object_stream[str](math.inf)
        self.busy = 0
        self.gone = False

    def add(self, job: str) -> None:
        if self.gone:
            return
        self.busy += 1
        self._send.send_nowait(job)

    def drop(self) -> None:
        self.gone = True
        self._send.close()


@dataclass(slots=True)
class _Client:
    """``jobs`` were not told to their end yet."""

    jobs: deque[str] = field(default_factory=lambda: deque[str](maxlen=_MOST_JOBS))
    listeners: list[Listener] = field(default_factory=list[Listener])


class Hub:
    """All clients of this front door."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], _Client] = {}

    def submitted(self, owner: str, client: str, job: str) -> None:
        """A client that may listen, now or later, queued a job."""
        found = self._client(owner, client)
        found.jobs.append(job)
        for listener in found.listeners:
            listener.add(job)

    def told(self, owner: str, client: str, job: str, listener: Listener) -> None:
        """A listener was told of the end of a job; who connects later is not told again."""
        listener.busy -= 1
        found = self._clients.get((owner, client))
        if found is not None and job in found.jobs:
            found.jobs.remove(job)

    @contextmanager
    def listening(self, owner: str, client: str) -> Generator[Listener]:
        """Hear of the client's jobs, those included that it queued before."""
        self._make_room(owner)
        listener, found = Listener(), self._client(owner, client)
        for job in found.jobs:
            listener.add(job)
        found.listeners.append(listener)
        try:
            yield listener
        finally:
            listener.drop()
            listener.jobs.close()
            found.listeners.remove(listener)
            if not found.listeners and not found.jobs:
                self._clients.pop((owner, client), None)

    def _client(self, owner: str, client: str) -> _Client:
        found = self._clients.get((owner, client))
        if found is None:
            self._forget_one(owner)
            found = self._clients[(owner, client)] = _Client()
        return found

    def _forget_one(self, owner: str) -> None:
        """Make room by the oldest client to which nobody listens."""
        idle = [key for key, found in self._clients.items() if not found.listeners]
        mine = [key for key in idle if key[0] == owner]
        if len(mine) >= _MOST_OF_ONE:
            del self._clients[mine[0]]
        elif len(self._clients) >= _MOST_CLIENTS and idle:
            del self._clients[idle[0]]

    def _make_room(self, owner: str) -> None:
        """Of too many sockets the oldest one goes, before others one that has nothing to tell."""
        sockets = [each for key, found in self._clients.items() if key[0] == owner for each in found.listeners]
        mine = [each for each in sockets if not each.gone]
        if len(mine) >= _MOST_SOCKETS:
            min(mine, key=lambda listener: listener.busy > 0).drop()
