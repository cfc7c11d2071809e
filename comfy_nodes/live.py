"""What the page sees of a comparison while it runs: the cells that change, the bar, and a line for pages without it.

Owns how much is told and how often. For `comparing`; everything here runs on the bridge's loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import islice

from comfy_nodes.host import Running
from comfy_nodes.table import MOST_GROWING, Growing, Place, cell_of, layout_of, places_of
from llm_bridge.chat import Event, Loading, Prompting, Reasoning, Restarted, Text, Waiting
from llm_bridge.compare import Cell, CellResult, Comparison

__all__ = ["Live"]

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


class Live:
    """One comparison. Every cell that changes is told sooner or later as it is then, the last time as it ended."""

    def __init__(self, running: Running, run: str, comparison: Comparison) -> None:
        self._running = running
        self._layout = {"node": running.node, "run": run, **layout_of(comparison)}
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

    def end(self) -> None:
        """Tell the rest; nothing is told afterwards."""
        self._now = ""
        self._tell()
        while self._changed:
            self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        told = dict(islice(self._changed.items(), _MOST_CELLS))
        for place in told:
            del self._changed[place]
        cells = [cell_of(place, seen) for place, seen in told.items()]
        self._running.tell(_EVENT, {**self._layout, "done": self._done, "total": self._total, "cells": cells})
        self._running.progress(self._done, self._total)
        self._running.text(f"{self._done} of {self._total}{self._now}", last=True)
        self._timer = None
        if self._changed:
            self._tell_later()

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
