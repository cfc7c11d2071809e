"""Which of several calls of one node is seen in it: ComfyUI calls a node once for each item of a list, all at once.

Owns whose turn it is, so that they do not overwrite each other there. For what shows something while it works;
everything here runs on the bridge's loop.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from comfy_nodes.host import Running

__all__ = ["Turn", "taking_turns"]


class _Stage:
    """The place in a node, which lasts as long as one of its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.shows: Turn | None = None
        self.waits: Turn | None = None
        self.begun = False
        """Whether one has shown something: from then on nobody is told that others wait."""


_STAGES: dict[str, _Stage] = {}


class Turn:
    """What one call shows, if it is its turn: that of the first that has something to show, until it ends."""

    def __init__(self, running: Running, stage: _Stage) -> None:
        self._running, self._stage = running, stage

    def comes(self) -> bool:
        """Whether it is its turn, which it takes when nobody has it."""
        if self._stage.shows is None:
            self._stage.shows, self._stage.begun = self, True
        return self._stage.shows is self

    def text(self, text: str, *, last: bool = False) -> None:
        """As `Running.text`."""
        if self.comes():
            self._running.text(text, last=last)

    def wait(self, text: str) -> None:
        """Show what is waited for, unless one of the node has got further than that."""
        if self._stage.waits is None:
            self._stage.waits = self
        if not self._stage.begun and self._stage.waits is self:
            # At once, so that nothing of it is held back and comes over the text of another.
            self._running.text(text, last=True)

    def progress(self, value: int, maximum: int) -> None:
        """As `Running.progress`."""
        if self.comes():
            self._running.progress(value, maximum)

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """As `Running.tell`."""
        if self.comes():
            self._running.tell(event, data)

    def end(self) -> None:
        """Leave the place to another."""
        if self._stage.shows is self:
            self._stage.shows = None
        if self._stage.waits is self:
            self._stage.waits = None


@contextmanager
def taking_turns(running: Running) -> Generator[Turn]:
    """A call of a node, while it works."""
    stage = _STAGES.setdefault(running.node, _Stage())
    stage.calls += 1
    turn = Turn(running, stage)
    try:
        yield turn
    finally:
        turn.end()
        stage.calls -= 1
        if not stage.calls:
            del _STAGES[running.node]
