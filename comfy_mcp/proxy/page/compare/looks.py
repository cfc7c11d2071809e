"""A comparison at one moment, read once for all who watch it.

Owns how often its folder is read: the longer that takes, the more seldom. Used by what follows a comparison.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread

from comfy_mcp.proxy.page.compare.standing import Standing, standing_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.plans import Plan
from comfy_mcp.workbench.underway import Place, Writing
from llm_bridge.compare import Results

__all__ = ["Look", "Lookout", "Looks"]

_FRESH_SECONDS = 0.4
_REST = 10
"""Nothing is read for this many times as long as reading took, so that long comparisons cost no more."""


@dataclass(frozen=True, slots=True)
class Look:
    """A comparison at one moment."""

    plan: Plan
    writing: Mapping[Place, Writing]
    results: Results
    standing: Standing


class Looks:
    """What is known of the comparisons that are watched. It is forgotten with the last who watches."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._lookouts = WeakValueDictionary[str, Lookout]()

    def of(self, plan: Plan) -> Lookout:
        """Whoever watches this comparison keeps what this gives."""
        lookout = self._lookouts.get(plan.id)
        if lookout is None:
            lookout = self._lookouts[plan.id] = Lookout(self._workbench, plan)
        return lookout


class Lookout:
    """Where all who watch one comparison look from."""

    def __init__(self, workbench: Workbench, plan: Plan) -> None:
        self._comparisons, self._plan = workbench.comparisons, plan
        self._looking = anyio.Lock()
        self._seen: Look | None = None
        self._until = float("-inf")

    async def look(self) -> Look:
        """As it is now, or was a moment ago. Raises NotFound when it was deleted, and BadRequest when it cannot be
        read any more."""
        async with self._looking:
            if self._seen is None or time.monotonic() > self._until:
                began = time.monotonic()
                self._seen = await self._look(self._seen)
                took = time.monotonic() - began
                self._until = time.monotonic() + max(_FRESH_SECONDS, _REST * took)
            return self._seen

    async def _look(self, before: Look | None) -> Look:
        # Before the plan: what is written no more has ended for who reads the plan after it.
        writing = self._comparisons.writing(self._plan.id)
        plan = await self._comparisons.get(self._plan.id, self._plan.owner)
        if before is not None and plan == before.plan:
            return replace(before, writing=writing)
        results = await self._comparisons.results(plan)
        return Look(plan, writing, results, await to_thread.run_sync(standing_of, results))
