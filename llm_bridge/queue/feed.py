"""The events of one answer between the task that serves it and who reads them, however slowly that is.

Owns their order (waiting, loading, prompt, tokens, done) and what is kept for a reader who is behind: pieces of text
that follow each other become one, so that it is never more than the answer itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

from llm_bridge.chat import Done, Event, Loading, Prompting, Reasoning, Restarted, Text, ToolCallPiece, Waiting

__all__ = ["Feed"]

_MOST_PIECES = 1024
_STAGES: dict[type, int] = {
    Waiting: 0,
    Loading: 1,
    Prompting: 2,
    Text: 3,
    Reasoning: 3,
    ToolCallPiece: 3,
    Done: 4,
    Restarted: 4,
}


class Feed:
    """One writer, one reader. An event of a stage that is over is not told any more: a request may be sent twice.

    After `Restarted` the stages begin anew with the prompt.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[Event, list[str]]] = deque()
        self._stage = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._news = asyncio.Event()

    @property
    def waits(self) -> bool:
        """Whether nothing but waiting was told so far."""
        return self._stage == 0

    def put(self, event: Event) -> None:
        stage = _STAGES[type(event)]
        if stage < self._stage or self._ended:
            return
        self._stage = _STAGES[Prompting] if isinstance(event, Restarted) else stage
        last = self._entries[-1] if self._entries else None
        if last is None or not _joined(last, event):
            if last is not None and stage < _STAGES[Text] and type(last[0]) is type(event):
                # Of progress only the newest is news.
                self._entries.pop()
            self._entries.append((event, []))
        self._news.set()

    def end(self, failure: BaseException | None = None) -> None:
        """Nothing more comes; ``failure`` is raised for the reader after what is there. The first end stays."""
        if not self._ended:
            self._ended, self._failure = True, failure
            self._news.set()

    async def get(self) -> Event | None:
        """The next event, None when there are no more. Raises what it ended with."""
        while not self._entries:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return None
            self._news.clear()
            await self._news.wait()
        event, more = self._entries.popleft()
        return _whole(event, more)


def _joined(last: tuple[Event, list[str]], event: Event) -> bool:
    """Whether the piece was added to the last one that is still to be read."""
    before, more = last
    if isinstance(event, Text | Reasoning) and type(event) is type(before):
        more.append(event.text)
    elif isinstance(event, ToolCallPiece) and isinstance(before, ToolCallPiece) and event.index == before.index:
        if event.id or event.name:
            return False
        more.append(event.arguments)
    else:
        return False
    if len(more) >= _MOST_PIECES:
        more[:] = ["".join(more)]
    return True


def _whole(event: Event, more: list[str]) -> Event:
    if not more:
        return event
    if isinstance(event, ToolCallPiece):
        return replace(event, arguments="".join((event.arguments, *more)))
    assert isinstance(event, Text | Reasoning)
    return replace(event, text="".join((event.text, *more)))
