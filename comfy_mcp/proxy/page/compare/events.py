"""A comparison while it is answered, as Server-Sent Events: pieces of the page that have changed, each for its place.

Owns how often it looks, and what it sends. Used by the route of the events.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio import to_thread
from starlette.requests import Request

from comfy_mcp.errors import NotFound, WorkbenchError
from comfy_mcp.proxy.page.compare.grid import Grid, Shown
from comfy_mcp.proxy.page.compare.looks import Look, Lookout
from comfy_mcp.proxy.page.compare.models import away
from comfy_mcp.proxy.page.compare.standing import WIDTH, Standing
from comfy_mcp.proxy.page.rendering import language_of
from comfy_mcp.ui import environment
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.plans import Plan, PlanState

__all__ = ["Has", "Watch", "ended_cells", "progress_of"]

_LOOK_SECONDS = 0.5
_AT_ONCE = 4
"""Pieces in one message, so that no message keeps the page from answering its reader."""
_APART_SECONDS = 0.02
"""Between messages, so that the browser draws what it has, and others have their turn here."""


@dataclass(frozen=True, slots=True)
class Has:
    """Which cells of its page a browser shows as ``ended`` and as ``busy``, as bits; all others wait there."""

    ended: int = 0
    busy: int = 0

    @classmethod
    def of(cls, ended: str, busy: str) -> Has:
        """As an address says it, in hexadecimal digits; what makes no sense is nothing."""
        return cls(_bits(ended), _bits(busy))


class Watch:
    """Somebody who watches one page of the grid, and ``has`` cells on the screen already."""

    def __init__(self, request: Request, workbench: Workbench, lookout: Lookout, page: int, has: Has) -> None:
        self._workbench, self._lookout, self._page, self._has = workbench, lookout, page, has
        self._shown = dict[int, Shown]()
        self._told: tuple[Any, ...] = ()
        self._said: PlanState | None = None
        self._templates = environment(language_of(request), "comfy_mcp.proxy.page")

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """`cells` with what has changed, then one `end`."""
        try:
            while True:
                look = await self._lookout.look()
                fresh = await self._fresh(look)
                for start in range(0, len(fresh), _AT_ONCE):
                    yield {"event": "cells", "data": self._drawn(fresh[start : start + _AT_ONCE])}
                    await anyio.sleep(_APART_SECONDS)
                if progress := self._progress(look):
                    yield {"event": "cells", "data": progress}
                if look.plan.state.ended:
                    break
                await anyio.sleep(_LOOK_SECONDS)
        except NotFound:
            pass  # It was deleted meanwhile.
        except WorkbenchError as failure:
            yield {"event": "cells", "data": self._render("compare/_lost.html", record=failure)}
        yield {"event": "end", "data": "-"}

    async def _fresh(self, look: Look) -> list[Shown]:
        """The cells that are not as they were told last."""
        grid = Grid(look.results.comparison, self._page, over=look.plan.state.ended)
        lines = await to_thread.run_sync(partial(grid.lines, look.results, look.writing))
        cells = [cell for line in lines for cell in line.cells]
        if not self._shown:
            self._shown = self._known(cells)
        fresh = [cell for cell in cells if self._shown.get(cell.number) != cell]
        self._shown |= {cell.number: cell for cell in fresh}
        return fresh

    def _known(self, cells: Sequence[Shown]) -> dict[int, Shown]:
        """What stands on the page already: whatever had ended, also when that is newer than this look, and what waits
        there and here."""
        ended, busy = self._has.ended, self._has.busy
        return {
            cell.number: cell
            for at, cell in enumerate(cells)
            if ended >> at & 1 or (cell.stage == "waiting" and not busy >> at & 1)
        }

    def _drawn(self, cells: Sequence[Shown]) -> str:
        return "".join(self._render("compare/_cell.html", cell=cell, swapped=True) for cell in cells)

    def _progress(self, look: Look) -> str:
        """The head and the table of models; "" when they are as they were told last."""
        plan = look.plan
        told = (plan, away(self._workbench, servers_of(plan)))
        if told == self._told:
            return ""
        self._told = told
        # Said aloud once, not with every answer.
        speaks, self._said = plan.state != self._said, plan.state
        progress = progress_of(self._workbench, plan, look.standing)
        return self._render("compare/_progress.html", **progress, swapped=True, speaks=speaks)

    def _render(self, name: str, **context: Any) -> str:
        return self._templates.get_template(name).render(**context)


def progress_of(workbench: Workbench, plan: Plan, standing: Standing) -> dict[str, Any]:
    """What the head and the table of models are made of."""
    return {
        "plan": plan,
        "away": () if plan.state.ended else away(workbench, servers_of(plan)),
        "standing": standing,
        "width": WIDTH,
    }


def servers_of(plan: Plan) -> list[str]:
    """The servers that a comparison asks, each once."""
    return list(dict.fromkeys(model.partition("/")[0] for model in plan.models))


def ended_cells(cells: Sequence[Shown]) -> int:
    """Which of the cells of a page have ended, as bits."""
    return sum(1 << place for place, cell in enumerate(cells) if cell.ended)


def _bits(told: str) -> int:
    try:
        return max(int(told[:1024] or "0", 16), 0)
    except ValueError:
        return 0
