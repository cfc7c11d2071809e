"""What the page sees of a comparison while it runs: the cells that change, the bar, and a line for pages without it.

Owns how much is told and how often. For `comparing`; everything here runs on the bridge's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from comfy_nodes.host import Running
from comfy_nodes.table import MOST_GROWING, Growing, Place, cell_of, layout_of, places_of
from comfy_nodes.turns import Turn, taking_turns
from llm_bridge.chat import Event, Loading, Prompting, Reasoning, Restarted, Text, Waiting
from llm_bridge.compare import Cell, CellResult, Comparison

__all__ = ["Live", "shown_live"]

_EVENT = "comfyui-workbench.cells"
_TELL_SECONDS = 0.1
_CELLS_A_SECOND = 5_000
"""Every event has the whole layout: of a large table it is told less often."""

_MOST_CELLS = 200
_WORDS = {
    "waiting": "waiting …",
    "loading": "loading …",
    "prompt": "reading the prompt …",
    "reasoning": "thinking …",
    "text": "writing …",
}


@contextmanager
def shown_live(running: Running, run: str, comparison: Comparison) -> Generator[Live]:
    """A comparison while it runs. Of several that one node runs at once one is shown at a time."""
    with taking_turns(running) as turn:
        live = Live(turn, running.node, run, comparison)
        live.begin()
        try:
            yield live
            live.end()
        finally:
            live.stop()


class Live:
    """One comparison. In its turn every cell that changes is told sooner or later as it is then, and as it ended."""

    def __init__(self, turn: Turn, node: str, run: str, comparison: Comparison) -> None:
        self._turn = turn
        self._layout = {"node": node, "run": run, **layout_of(comparison)}
        self._places = places_of(comparison)
        self._total = len(comparison)
        self._seconds = max(_TELL_SECONDS, self._total / _CELLS_A_SECOND)
        self._growing: dict[Place, Growing] = {}
        self._changed: dict[Place, Growing | CellResult] = {}
        self._done = 0
        self._now = ""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Show the empty table."""
        self._tell()

    def see(self, cell: Cell, change: Event | CellResult) -> None:
        """What happened to a cell."""
        place = self._places[cell.place]
        if isinstance(change, CellResult):
            self._growing.pop(place, None)
            self._changed[place] = change
            self._done += 1
        else:
            before = self._growing.get(place, Growing())
            now = _after(before, change)
            if now == before:
                return
            self._growing[place] = self._changed[place] = now
            self._now = f" · {cell.model} · {_WORDS[now.state]}"
        if self._timer is None:
            self._tell_later()

    def wait(self, text: str) -> None:
        """Show what the comparison waits for, until something happens."""
        self._turn.text(text, last=True)

    def end(self) -> None:
        """Tell the rest. What was stopped has none: whoever sees it knows that nothing goes on."""
        self._now = ""
        if self._turn.comes():
            self._tell()
            while self._changed:
                self._tell()

    def stop(self) -> None:
        """Tell nothing afterwards."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self.stop()
        self._timer = None
        if self._turn.comes():
            self._tell_some()
        if self._changed:
            self._tell_later()

    def _tell_some(self) -> None:
        told = dict(islice(self._changed.items(), _MOST_CELLS))
        for place in told:
            del self._changed[place]
        cells = [cell_of(place, seen) for place, seen in told.items()]
        self._turn.tell(_EVENT, {**self._layout, "done": self._done, "total": self._total, "cells": cells})
        self._turn.progress(self._done, self._total)
        self._turn.text(f"{self._done} of {self._total}{self._now}", last=True)

    def _tell_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tell)


def _after(before: Growing, event: Event) -> Growing:
    match event:
        case Waiting():
            return Growing()
        case Loading():
            return replace(before, state="loading")
        case Prompting():
            return replace(before, state="prompt")
        case Reasoning(thought):
            return replace(before, state="reasoning", reasoning=(before.reasoning + thought)[-MOST_GROWING:])
        case Text(text):
            return replace(before, state="text", text=(before.text + text)[-MOST_GROWING:])
        case Restarted():
            return Growing("prompt")
        case _:
            return before
