"""One guest at a server: room on the card, the model loaded, and the answer told as it comes.

Owns what each failure means: the guest hears of it, or waits anew. As `attempt` does for jobs, without a store.
"""

from __future__ import annotations

import logging
import time
from typing import cast

import anyio

from comfy_mcp.backends import LLMBackend, Member, Pool
from comfy_mcp.dispatch.attempt import JUDGED
from comfy_mcp.dispatch.guest import Guest
from comfy_mcp.dispatch.limits import Limits
from comfy_mcp.errors import BackendError, BackendUnavailable, InternalError, TimedOut, WorkbenchError
from comfy_mcp.store import JobStore

__all__ = ["Answering"]

log = logging.getLogger(__name__)


class Answering:
    """Sees guests through."""

    def __init__(self, store: JobStore, pool: Pool) -> None:
        self._store, self._pool = store, pool

    async def answer(self, guest: Guest, unload: tuple[str, ...], limits: Limits) -> bool:
        """Whether it has its answer, or the reason why not; otherwise it waits anew.

        Raises:
            DatabaseUnavailable: that its card is not known any more cannot be recorded.
        """
        member = guest.member
        assert member is not None
        try:
            await self._told(guest, member, unload, limits.timeout)
            member.breaker.worked()
        except BackendUnavailable as failure:
            return await self._lost(guest, member, failure, limits)
        except TimedOut as failure:
            member.breaker.stuck(failure)
            guest.fail(failure)
        except WorkbenchError as failure:
            if isinstance(failure, JUDGED):
                member.breaker.worked()
            guest.fail(failure)
        except Exception:
            log.exception("A chat hit a defect.")
            guest.fail(InternalError())
        return True

    async def _told(self, guest: Guest, member: Member, unload: tuple[str, ...], timeout: float) -> None:
        with guest.scope:
            if not guest.left and guest.stopped is None:
                await self._pool.make_room(member, unload)
                started = time.monotonic()
                guest.scope.deadline = anyio.current_time() + timeout
                backend = cast("LLMBackend", member.backend)
                reply = await backend.ask(guest.request, guest.tell)
                guest.answered(reply.measured(queued=started - guest.arrived))
        if guest.ended:
            return
        if guest.stopped is not None:
            guest.fail(guest.stopped)
        elif not guest.left:
            raise TimedOut(f"The answer took longer than {timeout:.0f} s.", hint="Ask for less, or raise job_timeout.")

    async def _lost(self, guest: Guest, member: Member, failure: BackendUnavailable, limits: Limits) -> bool:
        """The server is gone, and what it had loaded is gone with it."""
        self._pool.unreachable(member, failure)
        await self._store.forget_card(member.config.place)
        now = time.monotonic()
        guest.failing = now if guest.failing is None else guest.failing
        guest.attempts += bool(failure.details.get("reached"))
        if guest.began:
            # Who has read half an answer takes another one for the rest of it.
            hint = "Ask again: the answer is not whole."
            guest.fail(BackendError(failure.message, hint=hint))
        elif guest.attempts >= limits.attempts or now - guest.failing >= limits.patience:
            guest.fail(BackendUnavailable(failure.message, hint=failure.hint))
        return guest.ended
