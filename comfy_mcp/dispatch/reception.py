"""Lets guests in: in their turn with what is stored, and what a running graph asks for before everything.

Owns the tasks that answer them. Called by the dispatcher before it leases a job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping

from anyio.abc import TaskGroup

from comfy_mcp.backends import Member, Pool
from comfy_mcp.dispatch.answering import Answering
from comfy_mcp.dispatch.attempt import Attempt
from comfy_mcp.dispatch.choosing import Choosing
from comfy_mcp.dispatch.guest import Guest
from comfy_mcp.dispatch.guests import Guests, fits
from comfy_mcp.dispatch.limits import Limits
from comfy_mcp.dispatch.seen import Seen
from comfy_mcp.errors import DatabaseUnavailable
from comfy_mcp.store import JobStore, Queue

__all__ = ["Reception"]

log = logging.getLogger(__name__)


class Reception:
    """Lets in those of ``guests`` beside the ``running`` attempts, which are by job."""

    def __init__(
        self,
        store: JobStore,
        pool: Pool,
        choosing: Choosing,
        guests: Guests,
        *,
        seen: Seen,
        running: Mapping[str, Attempt],
        limits: Callable[[], Limits],
    ) -> None:
        self._store, self._pool, self._choosing, self._guests = store, pool, choosing, guests
        self._seen, self._running, self._limits = seen, running, limits
        self._answering = Answering(store, pool)

    async def admit(self, tasks: TaskGroup) -> bool:
        """Start to answer those whose turn it is; whether there were any. Raises DatabaseUnavailable."""
        started = False
        for guest in self._guests.nested:
            started = await self._admit_nested(guest, tasks) or started
        if self._guests.waiting:
            started = await self._admit_in_turn(tasks) or started
        self._guests.look_round()
        return started

    async def look(self) -> Queue:
        """What waits in the store now. Raises DatabaseUnavailable."""
        queue = await self._store.queue()
        self._seen.see(queue)
        return queue

    @property
    def kept_free(self) -> Collection[str]:
        """The backends that get nothing else now: one of them shall have room for what a graph asks for."""
        waiting, members = self._guests.nested, self._pool.members
        return {member.name for guest in waiting for member in members if fits(guest, member)}

    async def _admit_in_turn(self, tasks: TaskGroup) -> bool:
        queue, started = self._seen.idle or await self.look(), False
        while waiting := self._guests.waiting:
            choice = self._choosing.choose(queue, waiting, self.kept_free)
            if choice.guest is None or choice.start is None:
                if choice.unserved:
                    self._pool.ask_what_they_have()
                break
            if choice.loads:
                # Before it is so: killed in between, nobody takes the card for what it is not.
                await self._store.begin_batch(choice.start, choice.guest.model)
                self._seen.forget()
            self._choosing.started(choice)
            if (member := self._pool.find(choice.start.backend)) is None:
                break
            self._begin(choice.guest, member, choice.unload, tasks)
            started = True
            if choice.loads:
                # What was read of the cards holds no more.
                break
        return started

    async def _admit_nested(self, guest: Guest, tasks: TaskGroup) -> bool:
        """Beside the graph that asks, whatever else waits: on a server that has its model at work, or nothing."""
        able = [member for member in self._pool.members if fits(guest, member) and self._has_room(guest, member)]
        if not able:
            return False
        member = min(able, key=lambda member: (not member.running, self._disturbs(guest, member), member.name))
        if not member.running:
            # The card now holds memory of both: nothing may be taken for granted of it afterwards.
            await self._store.forget_card(member.config.place)
            self._seen.forget()
        self._begin(guest, member, (), tasks)
        return True

    def _has_room(self, guest: Guest, member: Member) -> bool:
        if not member.running:
            return True
        models = {attempt.job.model for attempt in self._running.values() if attempt.member is member}
        models |= {each.model for each in self._guests.running if each.member is member}
        return models == {guest.model} and member.running < member.config.concurrency

    def _disturbs(self, guest: Guest, member: Member) -> bool:
        """Whether another graph computes on its card."""
        others = [each for each in self._running.values() if each.id != guest.within and each.member is not None]
        return any(each.member.config.place == member.config.place for each in others if each.member is not None)

    def _begin(self, guest: Guest, member: Member, unload: tuple[str, ...], tasks: TaskGroup) -> None:
        self._guests.start(guest, member)
        tasks.start_soon(self._answer, guest, unload)

    async def _answer(self, guest: Guest, unload: tuple[str, ...]) -> None:
        began, ended = time.monotonic(), None
        try:
            ended = await self._answering.answer(guest, unload, self._limits())
            self._guests.took(time.monotonic() - began)
        except DatabaseUnavailable as failure:
            log.exception("A chat cannot go on.")
            guest.fail(failure)
        finally:
            self._guests.settle(guest, again=ended is False)
