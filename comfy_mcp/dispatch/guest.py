"""A guest: one chat whose client waits for it, in memory only, and the events of its answer.

Owns what was told and not yet heard. When it is its turn `guests` and `choosing` know; `answering` sees it through.
"""

from __future__ import annotations

import time
from collections import deque

import anyio

from comfy_mcp.backends import Member
from comfy_mcp.errors import WorkbenchError
from llm_bridge.chat import ChatRequest, Event, Prompting, Reasoning, Reply, Text, ToolCallPiece, Waiting

__all__ = ["Guest"]

_TOGETHER = 1024
"""Letters up to which pieces that nobody heard yet become one: who hears slowly holds no card up."""


class Guest:
    """What is asked, for whom, and the events of the answer, which one reader may hear from any task.

    ``needs`` is what a server must offer. ``within`` is the attempt whose graph asks, "" for none. ``server`` is where
    it is answered; before that, where it probably will be. ``because`` says why it was chosen. Of its
    owner's guests ``most`` may wait, None for as many as of any other's.
    """

    def __init__(
        self,
        request: ChatRequest,
        needs: frozenset[str],
        *,
        owner: str,
        priority: int = 0,
        within: str = "",
        server: str = "",
        because: str = "",
        most: int | None = None,
    ) -> None:
        self.request, self.needs = request, needs
        self.owner, self.priority, self.within = owner, priority, within
        self.server, self.because, self.most = server, because, most
        self.reply = Reply()
        self.arrived = time.monotonic()
        self.order: float | None = None
        """Its place in the order of arrival, among the stored jobs too."""
        self.member: Member | None = None
        self.scope = anyio.CancelScope()
        self.stopped: WorkbenchError | None = None
        """Why it was stopped, when it was."""
        self.left = False
        """Whether its client is gone."""
        self.attempts = 0
        self.failing: float | None = None
        """Since when servers failed it."""
        self.stranded: float | None = None
        """Since when no server is there for it."""
        self.began = False
        """Whether some of the answer was told, so that it cannot be asked again."""
        self._events = deque[Event]()
        self._failure: WorkbenchError | None = None
        self._ended = False
        self._changed = anyio.Event()

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def failed(self) -> bool:
        return self._failure is not None

    def tell(self, event: Event) -> None:
        """Add what happened, for its reader to hear."""
        self.began = self.began or isinstance(event, Text | Reasoning | ToolCallPiece)
        before = self._events[-1] if self._events else None
        match event, before:
            case Text(more), Text(told) if len(told) < _TOGETHER:
                self._events[-1] = Text(told + more)
            case Reasoning(more), Reasoning(told) if len(told) < _TOGETHER:
                self._events[-1] = Reasoning(told + more)
            case (Waiting(), Waiting()) | (Prompting(), Prompting()):
                self._events[-1] = event
            case _:
                self._events.append(event)
        self._changed.set()

    def answered(self, reply: Reply) -> None:
        """It has its answer."""
        self.reply, self._ended = reply, True
        self._changed.set()

    def fail(self, failure: WorkbenchError) -> None:
        """It gets no answer, or no more of it; the first failure counts."""
        if not self._ended:
            self._failure, self._ended = failure, True
            self._changed.set()

    def __aiter__(self) -> Guest:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises what the answer failed with, after what came before that."""
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._changed = anyio.Event()
            await self._changed.wait()
        return self._events.popleft()
