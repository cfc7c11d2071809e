"""Comparisons of text models: started, driven by the process that dispatches, resumed by the next, and looked at.

Owns what drives them. Each cell is a job in the queue, under a key of its own, so that a comparison that was cut off
finds its jobs again; the bridge's `compare` owns what a comparison is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from comfy_mcp.errors import BadRequest, InternalError, InvalidParameter, NotFound, WorkbenchError
from comfy_mcp.tasks import background, to_the_end
from comfy_mcp.workbench.comparison_values import ComparisonValues
from comfy_mcp.workbench.plans import Plan, Plans, PlanState
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.compare import (
    Ballot,
    Cache,
    Cell,
    CellResult,
    Comparison,
    Folder,
    Judge,
    Results,
    Vote,
    ballots,
    compare,
    judge_answers,
    parse_rules,
    vote,
)
from llm_bridge.errors import BridgeError
from llm_bridge.messages import Image

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["AT_ONCE", "Comparisons"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_KEEP_SECONDS = 0.5
_WATCH_SECONDS = 0.25
_MOST_NOTES = 50

AT_ONCE = 400
"""Jobs of one comparison that wait at a time: every model is among them, and others have room in the queue."""


@dataclass(slots=True)
class _Drive:
    """One comparison while it is driven."""

    plan: Plan
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    jobs: set[str] = field(default_factory=set[str])
    kept_at: float = 0.0
    changed: bool = False


class Comparisons:
    """The comparisons of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._plans = Plans(workbench.settings.data / "comparisons")
        self._cache = Cache(workbench.settings.data / "answers")
        self._driven: dict[str, _Drive] = {}
        self._ended = set[str]()
        self._woken = anyio.Event()

    async def start(
        self,
        comparison: Comparison,
        owner: str = "local",
        *,
        checks: Sequence[str] = (),
        judge: Judge | None = None,
        fresh: bool = False,
    ) -> Plan:
        """Keep a comparison, then return it; the models are named as chats name them, patterns included.

        Raises:
            InvalidParameter: what cannot be compared or checked; the details name the parameter.
            BackendUnavailable: no LLM server is set up, or ever answered.
            StorageUnavailable: it cannot be kept.
        """
        models = await self._workbench.chats.named(comparison.models)
        if judge is not None:
            judge = replace(judge, model=(await self._workbench.chats.named([judge.model]))[0])
        try:
            comparison = replace(comparison, models=tuple(models))
            parse_rules(checks)
        except BridgeError as failure:
            raise InvalidParameter("models" if not checks else "checks", failure.message, hint=failure.hint) from None
        now = datetime.now(UTC)
        plan = Plan(
            f"{time.time_ns() // 1_000_000:012x}{uuid4().hex[:20]}",
            owner,
            now,
            comparison.models,
            len(comparison),
            tuple(checks),
            judge,
            fresh,
        )
        await to_the_end(self._keep_new(plan, comparison))
        self._woken.set()
        return plan

    async def start_from(self, values: ComparisonValues, owner: str = "local") -> Plan:
        """As `start`, from what a front door was asked for. Raises NotFound for a picture besides."""

        async def picture(name: str) -> Image:
            asset = await self._workbench.picture(name, owner)
            return Image(await self._workbench.read(asset), asset.mime)

        comparison = await values.comparison(picture)
        return await self.start(comparison, owner, checks=values.checks, judge=values.judge_asked, fresh=values.fresh)

    async def _keep_new(self, plan: Plan, comparison: Comparison) -> None:
        await Folder(self._plans.folder(plan.id)).begin(comparison)
        await to_thread.run_sync(self._plans.keep, plan)

    async def find(self, plan: str, owner: str | None = None) -> Plan | None:
        """The comparison of this id, when there is one and it is this owner's."""
        found = await to_thread.run_sync(self._plans.read, plan)
        return found if found is not None and owner in (None, found.owner) else None

    async def get(self, plan: str, owner: str | None = None) -> Plan:
        """As `find`. Raises NotFound."""
        found = await self.find(plan, owner)
        if found is None:
            raise NotFound("There is no comparison with this id.", hint="Use the id from the answer that started it.")
        return found

    async def list(self, owner: str, *, limit: int = 50) -> list[Plan]:
        """The newest comparisons first."""

        def mine() -> list[Plan]:
            return list(islice((plan for plan in self._plans.all() if plan.owner == owner), limit))

        return await to_thread.run_sync(mine)

    async def results(self, plan: Plan) -> Results:
        """What there is of it so far. Raises BadRequest when its folder cannot be read any more."""
        try:
            return await Folder(self._plans.folder(plan.id)).read()
        except BridgeError as failure:
            raise BadRequest(failure.message, hint=failure.hint) from None

    async def follow(self, plan: str, owner: str) -> AsyncGenerator[Plan]:
        """The comparison now, after every change, and a last time when it has ended. Raises NotFound."""
        current = await self.get(plan, owner)
        yield current
        while not current.state.ended:
            await anyio.sleep(_WATCH_SECONDS)
            before, current = current, await self.get(plan, owner)
            if current != before:
                yield current

    async def cancel(self, plan: str, owner: str) -> Plan:
        """End it: what is answered stays, what waits or runs is stopped. One that has ended stays. Raises NotFound."""
        found = await self.get(plan, owner)
        if not found.state.ended:
            await to_the_end(to_thread.run_sync(self._plans.cancel, plan))
            self._woken.set()
        return await self.get(plan, owner)

    async def ballots(self, plan: Plan, voter: str) -> Sequence[Ballot]:
        """What this voter is asked. Raises InvalidParameter for a voter without a name."""
        try:
            return ballots(await self.results(plan), voter)
        except BridgeError as failure:
            raise InvalidParameter("voter", failure.message, hint=failure.hint) from None

    async def vote(self, plan: Plan, voter: str, ballot: str, best: str) -> Vote:
        """Keep a vote, and tell who stood behind each answer. Raises InvalidParameter."""
        try:
            counted = vote(await self.results(plan), voter, ballot, best)
            await Folder(self._plans.folder(plan.id)).prefer(counted.preferences)
        except BridgeError as failure:
            raise InvalidParameter("ballot", failure.message, hint=failure.hint) from None
        return counted

    async def drive(self) -> None:
        """See every comparison through that has not ended, until cancelled. One process of a data folder does this."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._woken = anyio.Event()
                try:
                    await self._look(tasks)
                except Exception:
                    log.exception("The comparisons cannot be looked at; trying again.")
                with anyio.move_on_after(_LOOK_SECONDS):
                    await self._woken.wait()

    async def _look(self, tasks: TaskGroup) -> None:
        """Begin what nobody drives, and stop what was cancelled."""
        for plan in await to_thread.run_sync(lambda: list(self._plans.all(self._ended))):
            drive = self._driven.get(plan.id)
            if drive is not None and plan.state is PlanState.CANCELLED:
                drive.scope.cancel()
            elif drive is None and plan.state.ended:
                self._ended.add(plan.id)
            elif drive is None:
                self._driven[plan.id] = _Drive(plan)
                tasks.start_soon(self._see_through, self._driven[plan.id])

    async def _see_through(self, drive: _Drive) -> None:
        plan = drive.plan
        try:
            with drive.scope:
                notes = await self._made(drive)
                await self._move(drive, state=PlanState.DONE, notes=notes)
            if drive.scope.cancelled_caught:
                await self._move(drive, state=PlanState.CANCELLED)
                await self._workbench.chats.cancel(drive.jobs)
        except (BridgeError, WorkbenchError) as failure:
            await self._move(drive, state=PlanState.FAILED, told=str(failure))
        except Exception:
            log.exception("Comparison %s hit a defect.", plan.id)
            await self._move(drive, state=PlanState.FAILED, told=str(InternalError()))
        finally:
            del self._driven[plan.id]

    async def _made(self, drive: _Drive) -> tuple[str, ...]:
        """Every cell and judgement; the notes that came with them."""
        plan, folder = drive.plan, Folder(self._plans.folder(drive.plan.id))
        comparison = (await folder.read()).comparison
        ended = set[tuple[str, str, int, str]]()
        lost = set[tuple[str, str, int, str]]()

        def see(cell: Cell, change: Event | CellResult) -> None:
            if isinstance(change, CellResult):
                ended.add(cell.place)
                if change.failure is not None:
                    lost.add(cell.place)
                drive.plan = replace(drive.plan, done=len(ended), failed=len(lost))
                drive.changed = True

        async with background() as tasks:
            tasks.start_soon(self._keep_count, drive)
            ask = partial(self._ask, drive)
            cache = None if plan.fresh else self._cache
            rules = parse_rules(plan.checks)
            results = await compare(
                comparison, ask, checks=rules, folder=folder, cache=cache, at_once=AT_ONCE, on_change=see
            )
            if plan.judge is not None:
                await self._move(drive, state=PlanState.JUDGING)
                results = await judge_answers(results, ask, plan.judge, folder=folder, at_once=AT_ONCE)
            return tuple(results.notes[:_MOST_NOTES])

    async def _ask(self, drive: _Drive, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        def begun(job: str) -> None:
            drive.jobs.add(job)

        chats = self._workbench.chats
        return await chats.ask(f"{drive.plan.id}-{key}", request, on_event, owner=drive.plan.owner, on_job=begun)

    async def _keep_count(self, drive: _Drive) -> None:
        while True:
            await anyio.sleep(_KEEP_SECONDS)
            if drive.changed:
                drive.changed = False
                await self._move(drive)

    async def _move(self, drive: _Drive, **changes: Any) -> None:
        drive.plan = replace(drive.plan, **changes)
        await to_the_end(to_thread.run_sync(self._plans.keep, drive.plan))
