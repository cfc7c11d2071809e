"""Running a comparison: asks every cell that has no answer yet, and keeps what comes.

Owns the order and what becomes of a cell. Neither how a model is asked nor what waits for what: `Ask` is handed in, and
the queue behind it groups the cells by model and bounds what runs. For the command line, the workbench and the nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.compare.bounded import for_each
from llm_bridge.compare.cache import Cache
from llm_bridge.compare.checks import Rule, check
from llm_bridge.compare.folder import Folder
from llm_bridge.compare.matrix import Cell, Comparison
from llm_bridge.compare.results import CellResult, Checked, Failure, Results, in_order
from llm_bridge.errors import BridgeError

__all__ = ["AT_ONCE", "Ask", "OnChange", "compare"]

AT_ONCE = 400
"""Cells that are handed over at once: two comparisons and others beside them fit in the queue of one process."""

_CHECKING = 4


class Ask(Protocol):
    """Asks a model. ``key`` is the same whenever the same is asked, so that it may be asked once for all.

    Raises: BridgeError when there is no answer.
    """

    async def __call__(self, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply: ...


OnChange = Callable[[Cell, Event | CellResult], None]
"""Told of every event of a cell and at last of its result, also of one that was there already."""


async def compare(
    comparison: Comparison,
    ask: Ask,
    *,
    checks: Sequence[Rule] = (),
    folder: Folder | None = None,
    cache: Cache | None = None,
    at_once: int = AT_ONCE,
    on_change: OnChange | None = None,
) -> Results:
    """Every cell answered, or with the reason why it is not.

    They are handed over model by model, so that one server loads each once, and ``at_once`` at a time. Models that are
    named `server/model` are handed over server by server at the same time, so that none has nothing to do.
    A cell that fails does not end the run. With a ``folder`` a run that was cut off goes on where it was: answers stay,
    failures are asked again, and other ``checks`` than before are made anew. A ``cache`` gives answers of other runs.

    Raises: BadInput when the folder is that of another comparison, another run writes to it, or it cannot be written.
    """
    run = _Run(ask, checks, folder, cache, on_change or _nothing)
    async with folder.held() if folder else nullcontext():
        before = await folder.begin(comparison) if folder else Results(comparison)
        keyed = await asyncio.to_thread(lambda: comparison.keyed)
        known = {result.cell.place: result for result in before.cells}
        work = [_Work(key, cells, known.get(cells[0].place)) for key, cells in keyed.items()]
        # All before the first is asked: looked up one by one, they would reach the queue in any order.
        await run.remember(each.key for each in work if not (each.known and each.known.reply))
        await _by_servers(work, run.settle, at_once)
    return replace(before, cells=in_order(comparison, run.results))


async def _by_servers(work: Sequence[_Work], settle: Callable[[_Work], Awaitable[None]], at_once: int) -> None:
    lanes: dict[str, list[_Work]] = {}
    for each in work:
        server, named, _ = each.cells[0].model.partition("/")
        lanes.setdefault(server if named else "", []).append(each)
    share = max(1, at_once // max(1, len(lanes)))
    await for_each(list(lanes.values()), lambda lane: for_each(lane, settle, share), len(lanes))


def _nothing(cell: Cell, change: Event | CellResult) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Work:
    """Cells that ask the same, and what is known of them already."""

    key: str
    cells: tuple[Cell, ...]
    known: CellResult | None


class _Run:
    def __init__(
        self, ask: Ask, rules: Sequence[Rule], folder: Folder | None, cache: Cache | None, on_change: OnChange
    ) -> None:
        self._ask = ask
        self._rules = rules
        self._folder = folder
        self._cache = cache
        self._on_change = on_change
        self._kept = dict[str, Reply]()
        self._checking = asyncio.Semaphore(_CHECKING)
        self.results: list[CellResult] = []

    async def remember(self, keys: Iterable[str]) -> None:
        """What other runs answered to these."""
        if self._cache:
            self._kept = await self._cache.get_all([*keys])

    async def settle(self, work: _Work) -> None:
        known = work.known
        result = known if known and known.reply else await self._answered(work)
        result = await self._checked(result)
        if self._folder and result is not known:
            await self._folder.add(result)
        for cell in work.cells:
            told = replace(result, cell=cell)
            self.results.append(told)
            self._on_change(cell, told)

    async def _answered(self, work: _Work) -> CellResult:
        cell = work.cells[0]
        if kept := self._kept.pop(work.key, None):
            return CellResult(cell, kept, cached=True)
        try:
            reply = await self._ask(work.key, cell.request, partial(self._pass_on, work.cells))
        except BridgeError as error:
            return CellResult(cell, failure=Failure.of(error))
        if self._cache:
            await self._cache.put(work.key, reply)
        return CellResult(cell, reply)

    async def _checked(self, result: CellResult) -> CellResult:
        """The checks are those of this run; without any, those that were made before stay."""
        made = [checked.rule for checked in result.checks]
        if result.reply is None or not self._rules or made == [str(rule) for rule in self._rules]:
            return result
        return replace(result, checks=await self._check(result.reply.text))

    async def _check(self, answer: str) -> tuple[Checked, ...]:
        async with self._checking:
            return await check(self._rules, answer)

    def _pass_on(self, cells: Sequence[Cell], event: Event) -> None:
        for cell in cells:
            self._on_change(cell, event)
