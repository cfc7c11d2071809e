"""Comparisons of text models: started, driven by the process that dispatches, resumed by the next, and looked at.

Owns what drives them. Each cell is a job in the queue, under a key of its own, so that a comparison that was cut off
finds its jobs again; the bridge's `compare` owns what a comparison is.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from comfy_mcp.errors import (
    BadRequest,
    Conflict,
    InternalError,
    InvalidParameter,
    NotFound,
    StorageUnavailable,
    WorkbenchError,
)
from comfy_mcp.tasks import background, to_the_end
from comfy_mcp.workbench.comparison_values import ComparisonValues
from comfy_mcp.workbench.plans import Plan, Plans, PlanState
from comfy_mcp.workbench.underway import Place, Underway, Writing
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.compare import (
    Ballot,
    Cache,
    Cell,
    CellResult,
    Comparison,
    Folder,
    Judge,
    OnChange,
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

__all__ = ["Comparisons", "Making"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_KEEP_SECONDS = 0.5
_WATCH_SECONDS = 0.25
_AGAIN_SECONDS = 30.0
_MOST_NOTES = 50
_MOST_DRIVEN = 2
"""So that comparisons leave room in the queue; those that were started later wait for these."""

AT_ONCE = 400
"""Jobs of one comparison that wait at a time."""


@dataclass(slots=True)
class _Drive:
    """One comparison while it is driven."""

    plan: Plan
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    underway: Underway = field(default_factory=Underway)
    changed: bool = False

    def see(self, cell: Cell, change: Event | CellResult) -> None:
        self.underway.see(cell, change)
        if isinstance(change, CellResult):
            self.plan = replace(self.plan, done=self.underway.done, failed=self.underway.failed)
            self.changed = True


@dataclass(frozen=True, slots=True)
class Making:
    """What is to be made in a folder: cells, checks and judgements. ``run`` begins the keys of all its jobs."""

    comparison: Comparison
    folder: Folder
    run: str
    owner: str = "local"
    checks: Sequence[str] = ()
    judge: Judge | None = None
    fresh: bool = False


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
        key: str | None = None,
    ) -> Plan:
        """Keep a comparison, then return it; the models are named as chats name them, patterns included. With the
        ``key`` of an earlier one of this owner it is that one.

        Raises:
            InvalidParameter: what cannot be compared or checked; the details name the parameter.
            BackendUnavailable: no LLM server is set up, or ever answered.
            Conflict: the key was used for another comparison.
            StorageUnavailable: it cannot be kept.
        """
        comparison, judge = await self.resolved(comparison, judge)
        try:
            parse_rules(checks)
        except BridgeError as failure:
            raise InvalidParameter("checks", failure.message, hint=failure.hint) from None
        name = _id_of(owner, key) if key else f"{time.time_ns() // 1_000_000:012x}{uuid4().hex[:20]}"
        models, cells = comparison.models, len(comparison)
        plan = Plan(name, owner, datetime.now(UTC), models, cells, tuple(checks), judge, fresh)
        if (earlier := await self.find(name)) is not None:
            return await self._same(earlier, plan, comparison)
        await to_the_end(self._keep_new(plan, comparison))
        self._woken.set()
        return plan

    async def resolved(self, comparison: Comparison, judge: Judge | None) -> tuple[Comparison, Judge | None]:
        """With every model by its full name. Raises InvalidParameter, BackendUnavailable."""
        named = self._workbench.chats.named
        try:
            comparison = replace(comparison, models=tuple(await named(comparison.models, "models")))
        except BridgeError as failure:
            raise InvalidParameter("models", failure.message, hint=failure.hint) from None
        if judge is None:
            return comparison, None
        models = await named([judge.model], "judge")
        if len(models) > 1:
            raise InvalidParameter("judge", f"{judge.model[:64]} is more than one model.", hint="Name one.")
        return comparison, replace(judge, model=models[0])

    async def _same(self, earlier: Plan, plan: Plan, comparison: Comparison) -> Plan:
        asked = (plan.checks, plan.judge, plan.fresh)
        same = asked == (earlier.checks, earlier.judge, earlier.fresh)
        if not same or (await self.results(earlier)).comparison != comparison:
            raise Conflict("This key was used for another comparison.", hint="Use a new key for a new comparison.")
        return earlier

    async def start_from(self, values: ComparisonValues, owner: str = "local", key: str | None = None) -> Plan:
        """As `start`, from what a front door was asked for."""

        async def picture(name: str) -> Image:
            try:
                asset = await self._workbench.picture(name, owner)
            except NotFound:
                raise InvalidParameter(
                    "prompts", f"There is no picture {name[:64]!r}.", hint="Give the id of one, or upload it first."
                ) from None
            return Image(await self._workbench.read(asset), asset.mime)

        comparison = await values.comparison(picture)
        judge, fresh = values.judge_asked, values.fresh
        return await self.start(comparison, owner, checks=values.checks, judge=judge, fresh=fresh, key=key)

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

    def writing(self, plan: str) -> Mapping[Place, Writing]:
        """What is being answered now, as far as this process drives it; another one tells only what has ended."""
        drive = self._driven.get(plan)
        return dict(drive.underway.writing) if drive is not None else {}

    async def cancel(self, plan: str, owner: str) -> Plan:
        """End it: what is answered stays, what waits or runs is stopped. One that has ended stays. Raises NotFound."""
        found = await self.get(plan, owner)
        if not found.state.ended:
            await to_the_end(to_thread.run_sync(self._plans.cancel, plan))
            self._woken.set()
        return await self.get(plan, owner)

    async def delete(self, plan: str, owner: str) -> None:
        """Forget one that has ended, with its answers and votes. Raises NotFound, StorageUnavailable, and Conflict
        while it is still at work."""
        found = await self.get(plan, owner)
        if not found.state.ended or plan in self._driven:
            raise Conflict("This comparison is still at work.", hint="Cancel it, then try again in a moment.")
        await to_the_end(to_thread.run_sync(self._plans.delete, plan))
        self._ended.discard(plan)

    async def ballots(self, plan: Plan, voter: str) -> Sequence[Ballot]:
        """What this voter is asked. Raises InvalidParameter for a voter without a name."""
        try:
            return ballots(await self.results(plan), voter, await Folder(self._plans.folder(plan.id)).salt())
        except BridgeError as failure:
            raise InvalidParameter("voter", failure.message, hint=failure.hint) from None

    async def vote(self, plan: Plan, voter: str, ballot: str, best: str) -> Vote:
        """Keep a vote, and tell who stood behind each answer. Raises InvalidParameter."""
        try:
            folder = Folder(self._plans.folder(plan.id))
            counted = vote(await self.results(plan), voter, ballot, best, await folder.salt())
            await folder.prefer(counted.preferences)
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
        """Begin what nobody drives, the oldest first, and stop what was cancelled or deleted."""
        names = await to_thread.run_sync(self._plans.names)
        # One that was deleted may come again, under the same key.
        self._ended &= names
        for gone in self._driven.keys() - names:
            self._driven[gone].scope.cancel()
        plans = await to_thread.run_sync(self._plans.all, self._ended)
        for plan in reversed(plans):
            drive = self._driven.get(plan.id)
            if drive is not None and plan.state is PlanState.CANCELLED:
                drive.scope.cancel()
            elif drive is None and plan.state.ended:
                if plan.state is PlanState.CANCELLED:
                    # Whoever drove it may have died before it stopped the jobs.
                    await self._stop_jobs(plan)
                self._ended.add(plan.id)
            elif drive is None and len(self._driven) < _MOST_DRIVEN:
                self._driven[plan.id] = _Drive(plan)
                tasks.start_soon(self._see_through, self._driven[plan.id])

    async def _see_through(self, drive: _Drive) -> None:
        """Whatever goes wrong with one comparison ends neither the others nor the pictures."""
        plan = drive.plan
        try:
            with drive.scope:
                await self._conclude(drive, **await self._outcome(drive))
            if drive.scope.cancelled_caught:
                await self._stop_jobs(plan)
                await self._conclude(drive, state=PlanState.CANCELLED)
        except Exception:
            log.exception("What came of comparison %s cannot be kept; it is taken up again later.", plan.id)
            await anyio.sleep(_AGAIN_SECONDS)
        finally:
            del self._driven[plan.id]

    async def _conclude(self, drive: _Drive, **changes: Any) -> None:
        """Keep how it ended, or stop what is left of it when it was deleted meanwhile."""
        if await self.find(drive.plan.id) is None:
            await self._stop_jobs(drive.plan)
        else:
            await self._move(drive, **changes)

    async def _outcome(self, drive: _Drive) -> dict[str, Any]:
        """See it through; how its plan changes by that."""
        plan = drive.plan
        folder = Folder(self._plans.folder(plan.id))
        try:
            async with background() as tasks:
                tasks.start_soon(self._keep_count, drive)
                comparison = (await folder.read()).comparison
                making = Making(comparison, folder, plan.id, plan.owner, plan.checks, plan.judge, plan.fresh)
                judging = partial(self._move, drive, state=PlanState.JUDGING)
                results = await self.made(making, drive.see, judging)
            return {"state": PlanState.DONE, "notes": tuple(results.notes[:_MOST_NOTES])}
        except (BridgeError, WorkbenchError) as failure:
            return {"state": PlanState.FAILED, "told": str(failure)}
        except Exception:
            log.exception("Comparison %s hit a defect.", plan.id)
            return {"state": PlanState.FAILED, "told": str(InternalError())}

    async def made(self, making: Making, on_change: OnChange, judging: Callable[[], Awaitable[object]]) -> Results:
        """Every cell and judgement; ``judging`` is called when the cells have ended and a judge begins.

        Raises:
            BridgeError: the folder cannot be written, or is that of another comparison.
        """
        chats = self._workbench.chats

        async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
            return await chats.ask(f"{making.run}-{key}", request, on_event, owner=making.owner)

        folder = making.folder
        results = await compare(
            making.comparison,
            ask,
            checks=parse_rules(making.checks),
            folder=folder,
            cache=None if making.fresh else self._cache,
            at_once=AT_ONCE,
            on_change=on_change,
        )
        if making.judge is not None:
            await judging()
            results = await judge_answers(results, ask, making.judge, folder=folder, at_once=AT_ONCE)
        return results

    async def _stop_jobs(self, plan: Plan) -> None:
        await self._workbench.chats.cancel(f"{plan.id}-", plan.owner)

    async def _keep_count(self, drive: _Drive) -> None:
        while True:
            await anyio.sleep(_KEEP_SECONDS)
            if drive.changed:
                drive.changed = False
                over = drive.underway.over
                try:
                    await self._move(drive)
                    drive.underway.forget(over)
                except StorageUnavailable as failure:
                    log.warning("How far comparison %s is cannot be kept: %s", drive.plan.id, failure)

    async def _move(self, drive: _Drive, **changes: Any) -> None:
        drive.plan = replace(drive.plan, **changes)
        await to_the_end(to_thread.run_sync(self._plans.keep, drive.plan))


def _id_of(owner: str, key: str) -> str:
    """The same for the same key of the same owner."""
    return hashlib.sha256(f"{len(owner)} {owner} {key}".encode()).hexdigest()[:32]
