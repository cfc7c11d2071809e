"""A comparison while it is answered, as Server-Sent Events: pieces of the page that have changed, each for its place.

Owns how often it looks, and what it sends. Used by the route of the events.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import anyio
from starlette.requests import Request

from comfy_mcp.errors import NotFound, WorkbenchError
from comfy_mcp.proxy.page.compare.grid import Grid, Shown
from comfy_mcp.proxy.page.compare.models import away
from comfy_mcp.proxy.page.compare.standing import WIDTH, standing_of
from comfy_mcp.proxy.page.rendering import language_of
from comfy_mcp.ui import environment
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.plans import Plan, PlanState
from comfy_mcp.workbench.underway import Place, Writing
from llm_bridge.compare import Results

__all__ = ["Watch", "ended_cells", "progress_of"]

_LOOK_SECONDS = 0.5
_AT_ONCE = 12
"""Pieces in one message, so that no message keeps the page from answering its reader."""
_REST = 10
"""It rests this many times as long as reading the results took, so that long comparisons cost no more."""


class Watch:
    """Somebody who watches one page of the grid; ``has`` are the cells that had ended when the page was made."""

    def __init__(self, request: Request, workbench: Workbench, plan: Plan, page: int, has: int) -> None:
        self._workbench, self._plan, self._page = workbench, plan, page
        self._has = has
        self._shown = dict[int, Shown]()
        self._told: tuple[Any, ...] = ()
        self._said: PlanState | None = None
        self._templates = environment(language_of(request), "comfy_mcp.proxy.page")

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """`cells` with what has changed, then one `end`."""
        comparisons = self._workbench.comparisons
        results: Results | None = None
        rest = 0.0
        try:
            while True:
                # Before the plan: what is written no more has ended for who reads the plan after it.
                writing = comparisons.writing(self._plan.id)
                plan = await comparisons.get(self._plan.id, self._plan.owner)
                if results is None or plan != self._plan:
                    began = time.monotonic()
                    results = await comparisons.results(plan)
                    rest = _REST * (time.monotonic() - began)
                self._plan = plan
                pieces = self._pieces(results, writing)
                for start in range(0, len(pieces), _AT_ONCE):
                    yield {"event": "cells", "data": "".join(pieces[start : start + _AT_ONCE])}
                if plan.state.ended:
                    break
                await anyio.sleep(max(_LOOK_SECONDS, rest))
        except NotFound:
            pass  # It was deleted meanwhile.
        except WorkbenchError as failure:
            yield {"event": "cells", "data": self._render("compare/_lost.html", record=failure)}
        yield {"event": "end", "data": "-"}

    def _pieces(self, results: Results, writing: Mapping[Place, Writing]) -> list[str]:
        """Everything that is not as it was told last."""
        over = self._plan.state.ended
        lines = Grid(results.comparison, self._page, over=over).lines(results, writing)
        cells = [cell for line in lines for cell in line.cells]
        if not self._shown:
            self._shown = self._known(cells)
        fresh = [cell for cell in cells if self._shown.get(cell.number) != cell]
        self._shown |= {cell.number: cell for cell in fresh}
        pieces = [self._render("compare/_cell.html", cell=cell, swapped=True) for cell in fresh]
        told = (self._plan, away(self._workbench, servers_of(self._plan)))
        if told != self._told:
            progress = progress_of(self._workbench, self._plan, results)
            # Said aloud once, not with every answer.
            speaks, self._said = self._plan.state != self._said, self._plan.state
            pieces.append(self._render("compare/_progress.html", **progress, swapped=True, speaks=speaks))
            self._told = told
        return pieces

    def _known(self, cells: Sequence[Shown]) -> dict[int, Shown]:
        """What stands on the page already: whatever had ended, and that the others wait."""
        there = enumerate(cells)
        return {
            cell.number: cell for at, cell in there if cell.stage == "waiting" or (cell.ended and self._has >> at & 1)
        }

    def _render(self, name: str, **context: Any) -> str:
        return self._templates.get_template(name).render(**context)


def progress_of(workbench: Workbench, plan: Plan, results: Results) -> dict[str, Any]:
    """What the head and the table of models are made of."""
    return {
        "plan": plan,
        "away": () if plan.state.ended else away(workbench, servers_of(plan)),
        "standing": standing_of(results),
        "width": WIDTH,
    }


def servers_of(plan: Plan) -> list[str]:
    """The servers that a comparison asks, each once."""
    return list(dict.fromkeys(model.partition("/")[0] for model in plan.models))


def ended_cells(cells: Sequence[Shown]) -> int:
    """Which of the cells of a page have ended, as bits."""
    return sum(1 << place for place, cell in enumerate(cells) if cell.ended)
