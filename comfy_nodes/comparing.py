"""A comparison from a node: through the one queue, kept in its run folder, shown while it runs, stopped with the graph.

Owns when models are let go, and what becomes of a comparison that nobody answered. The matrix and its run are
`llm_bridge.compare`. For LLM Compare.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from comfy_nodes.host import Running
from comfy_nodes.live import shown_live
from comfy_nodes.runs import answers, begun, run_id
from comfy_nodes.servers import Servers, the_servers
from comfy_nodes.thread import on_bridge
from comfy_nodes.values import Compared, Provider
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.compare import Cell, CellResult, Comparison, Results, Rule, compare
from llm_bridge.errors import BridgeError, ServerError
from llm_bridge.router import Router

__all__ = ["UNLOAD", "Unload", "run"]

Unload = Literal["leave loaded", "after each model", "at the end"]
UNLOAD: tuple[Unload, ...] = get_args(Unload)

_MOST_REASONS = 3


async def run(
    running: Running,
    comparison: Comparison,
    *,
    rules: Sequence[Rule] = (),
    anew: bool = False,
    unload: Unload = "leave loaded",
) -> Compared:
    """Every cell answered, or with the reason why it is not.

    What was answered earlier is not asked again, unless it is to be done ``anew``; a run that was stopped goes on where
    it was. ``unload`` lets go of models that answered in this run, when none of its cells needs them any more.

    Raises: BridgeError when no cell has an answer, with the reason; ComfyUI's exception for an interrupted graph.
    """
    id = run_id(comparison, anew=anew)

    async def work() -> Compared:
        servers = await the_servers()
        asking = _Asking(servers, await servers.router(Provider(), running.prompt), comparison, unload)
        try:
            with shown_live(running, id, comparison) as live:
                async with begun(id, live.wait) as folder:
                    results = await compare(
                        comparison,
                        asking.ask,
                        checks=rules,
                        folder=folder,
                        cache=None if anew else answers(),
                        on_change=_both(live.see, asking.see),
                    )
        finally:
            await asking.end()
        return Compared(asking.outcome(results), id)

    return await on_bridge(running, work)


def _both(*seers: Callable[[Cell, Event | CellResult], None]) -> Callable[[Cell, Event | CellResult], None]:
    def see(cell: Cell, change: Event | CellResult) -> None:
        for each in seers:
            each(cell, change)

    return see


class _Asking:
    """The models that one run asks: what went wrong with them, and when they are let go."""

    def __init__(self, servers: Servers, router: Router, comparison: Comparison, unload: Unload) -> None:
        self._servers, self._router, self._unload = servers, router, unload
        each = len(comparison) // len(comparison.models)
        self._left = Counter(dict.fromkeys(comparison.models, each))
        self._answered = dict[str, set[str]]()
        self._asked = set[tuple[str, str, int, str]]()
        self._failures: dict[str, BridgeError] = {}
        self._unloads = list[asyncio.Task[list[str]]]()

    async def ask(self, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        """As `Router.__call__`."""
        try:
            reply = await self._router(key, request, on_event)
        except BridgeError as failure:
            self._failures.setdefault(str(failure), failure)
            raise
        own = request.model.removeprefix(f"{reply.server}/")
        self._answered.setdefault(request.model, set()).add(f"{reply.server}/{own}")
        return reply

    def see(self, cell: Cell, change: Event | CellResult) -> None:
        if not isinstance(change, CellResult):
            self._asked.add(cell.place)
            return
        self._left[cell.model] -= 1
        last = not (self._left[cell.model] if self._unload == "after each model" else self._left.total())
        if last and self._unload != "leave loaded":
            self._let_go((cell.model,) if self._unload == "after each model" else tuple(self._left))

    def _let_go(self, models: Sequence[str]) -> None:
        # A model whose answers were all there already was not loaded for this.
        for name in {name for model in models for name in self._answered.get(model, ())}:
            self._unloads.append(asyncio.create_task(self._servers.let_go(name)))

    async def end(self) -> None:
        """Until the models are gone that were to go."""
        if self._unloads:
            await asyncio.wait(self._unloads)

    def outcome(self, results: Results) -> Results:
        """The results, where answers of an earlier run say that they are. Raises: BridgeError when there is none."""
        if all(result.reply is None for result in results.cells):
            raise self._failure()
        earlier = (result.reply is not None and result.cell.place not in self._asked for result in results.cells)
        pairs = zip(results.cells, earlier, strict=True)
        return replace(results, cells=tuple(replace(cell, cached=True) if old else cell for cell, old in pairs))

    def _failure(self) -> BridgeError:
        first, *others = self._failures.values()
        if not others:
            return first
        told = " ".join(failure.message for failure in (first, *others[: _MOST_REASONS - 1]))
        return ServerError(f"No model answered. {told}", hint=first.hint)
