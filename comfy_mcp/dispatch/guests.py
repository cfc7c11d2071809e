"""The guests that wait and those that are answered: bounded, in their order, told how many are before them.

Owns who is there. A guest is put into the line by workbench, and taken out of it by the dispatcher or by leaving.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import anyio

from comfy_mcp.backends import Member, Pool
from comfy_mcp.dispatch.guest import Guest
from comfy_mcp.dispatch.limits import Limits
from comfy_mcp.errors import BackendUnavailable, Interrupted, Overloaded, WorkbenchError
from comfy_mcp.store import Mode
from comfy_mcp.watch import Board
from llm_bridge.chat import Waiting

__all__ = ["Guests", "fits"]

_NEWEST_COUNTS = 0.3
_UNMEASURED_SECONDS = 30.0


class Guests:
    """Those who ask a dispatcher. ``hosts`` says whether an attempt runs within which this owner may ask."""

    def __init__(
        self, pool: Pool, board: Board, limits: Callable[[], Limits], hosts: Callable[[str, str], bool]
    ) -> None:
        self._pool, self._board, self._limits, self._hosts = pool, board, limits, hosts
        self._waiting: list[Guest] = []
        self._told: dict[Guest, int] = {}
        self._seconds: float | None = None
        self._closed = False
        self.running: set[Guest] = set()

    @property
    def waiting(self) -> Sequence[Guest]:
        """Those of the line, in their order."""
        return [guest for guest in self._waiting if not guest.within]

    @property
    def nested(self) -> Sequence[Guest]:
        """Those whom a graph asks for that runs."""
        return [guest for guest in self._waiting if guest.within]

    def add(self, guest: Guest) -> None:
        """Let it wait for its turn.

        One that asks within an attempt that does not run, or is another owner's, is one like the others.

        Raises:
            Overloaded: too many wait.
            BackendUnavailable: the dispatcher has ended.
        """
        if self._closed:
            raise _closing()
        if guest.within and not self._hosts(guest.within, guest.owner):
            guest.within = ""
        self._refuse_too_many(guest)
        self._waiting.append(guest)
        self._board.post_guest()

    def _refuse_too_many(self, guest: Guest) -> None:
        limits, alike = self._limits(), self.waiting
        if guest.within:
            # A graph that runs is not kept waiting by those who wait for it to end.
            alike = [each for each in self.nested if each.within == guest.within]
        own = sum(each.owner == guest.owner for each in alike)
        most = limits.guests_per_owner if guest.most is None else guest.most
        if not guest.within:
            # However much one may ask for, others find room in the line.
            most = min(most, -(-limits.guests // 2))
        if len(alike) < limits.guests and own < most:
            return
        seconds = max(1, round(_UNMEASURED_SECONDS if self._seconds is None else self._seconds))
        raise Overloaded(
            f"{len(alike)} chats are waiting, and no more are taken.",
            hint=f"Try again in about {seconds} s.",
            retry_after=seconds,
        )

    def start(self, guest: Guest, member: Member) -> None:
        """It is its turn, there."""
        self._remove(guest)
        self.running.add(guest)
        guest.member, guest.server, guest.scope = member, member.name, anyio.CancelScope()
        guest.stranded = None
        self._pool.enter(member)

    def settle(self, guest: Guest, *, again: bool) -> None:
        """It is not at its server any more. Some wait ``again``, in their old place."""
        self.running.discard(guest)
        member, guest.member = guest.member, None
        if member is not None:
            self._pool.leave(member, None)
        if again and guest.stopped is None and not guest.left and not self._closed:
            self._waiting.append(guest)
            self._waiting.sort(key=lambda each: each.arrived)
        else:
            guest.fail(guest.stopped or _closing())
        if guest.ended and not guest.failed:
            self._board.post_guest()
        else:
            # What was known of its card may be so no more.
            self._board.post_work()

    def took(self, seconds: float) -> None:
        """Learn from how long an answer took."""
        before = seconds if self._seconds is None else self._seconds
        self._seconds = before + _NEWEST_COUNTS * (seconds - before)

    def leave(self, guest: Guest) -> None:
        """Its client waits no more: it is out of the line at once, or stopped where it is answered."""
        guest.left = True
        self._out(guest)

    def stop_within(self, attempt: str) -> None:
        """The graph that asks has ended, or is about to."""
        for guest in [*self.nested, *self.running]:
            if guest.within == attempt:
                self._stop(guest, Interrupted("The job that asked for this has ended.", hint="Run the job again."))

    def close(self) -> None:
        """No dispatcher is there any more."""
        self._closed = True
        for guest in [*self._waiting, *self.running]:
            self._stop(guest, _closing())

    def _stop(self, guest: Guest, why: WorkbenchError) -> None:
        guest.stopped = why
        if self._out(guest):
            guest.fail(why)

    def _out(self, guest: Guest) -> bool:
        """Whether it only waited."""
        if self._remove(guest):
            self._board.post_guest()
            return True
        guest.scope.cancel()
        return False

    def _remove(self, guest: Guest) -> bool:
        self._told.pop(guest, None)
        if guest not in self._waiting:
            return False
        self._waiting.remove(guest)
        return True

    def look_round(self) -> None:
        """Tell those who wait how many are before them, and those for whom nobody is there that they wait in vain."""
        before = Counter[str]()
        able: dict[tuple[frozenset[str], bool], list[Member]] = {}
        for guest in sorted(self._waiting, key=lambda guest: (not guest.within, -guest.priority, guest.arrived)):
            alike = guest.needs, bool(guest.within)
            if alike not in able:
                able[alike] = [member for member in self._pool.members if _offers(guest, member)]
            if not self._stranded(guest, able[alike]):
                cards = {member.config.place for member in able[alike]}
                self._place(guest, max((before[card] for card in cards), default=0))
                before.update(cards)

    def _place(self, guest: Guest, ahead: int) -> None:
        if self._told.get(guest) != ahead:
            self._told[guest] = ahead
            guest.tell(Waiting(ahead))

    def _stranded(self, guest: Guest, members: Sequence[Member]) -> bool:
        """Whether it was given up, since none is there for it of those that have what it needs, and long has been."""
        if any(_takes(guest, member) for member in members):
            guest.stranded = None
            return False
        now = time.monotonic()
        if guest.stranded is None:
            guest.stranded = now
        if now - guest.stranded < self._limits().patience:
            return False
        self._remove(guest)
        guest.fail(_nobody(guest, members))
        return True


def fits(guest: Guest, member: Member) -> bool:
    """Whether it may be answered there, now or when there is room."""
    return _takes(guest, member) and _offers(guest, member)


def _offers(guest: Guest, member: Member) -> bool:
    """Whether it has what the guest needs, as far as is known."""
    return guest.needs <= member.server(guest.needs).offers


def _takes(guest: Guest, member: Member) -> bool:
    """Whether it is there for this guest.

    A person who pauses a server wants it to get nothing new. What a graph asks for is no more than a part of what runs,
    which a pause lets go on.
    """
    return member.admits and (bool(guest.within) or member.mode is Mode.ACTIVE)


def _nobody(guest: Guest, members: Iterable[Member]) -> BackendUnavailable:
    failure = next((member.breaker.failure for member in members if member.breaker.failure), None)
    if failure is not None:
        return BackendUnavailable(failure.message, hint=failure.hint)
    if paused := ", ".join(member.name for member in members):
        return BackendUnavailable(f"{paused}: paused.", hint="Ask again when it is resumed, or choose another model.")
    return BackendUnavailable(f"No server has {guest.model!r} any more.", hint="Choose another model.")


def _closing() -> BackendUnavailable:
    return BackendUnavailable("The workbench is ending.", hint="Ask again when it is back.")
