"""Sweeps: one or two parameters of a template over values, a job for each cell, a contact sheet of all.

Owns what a sweep is made of and how it is kept. Its cells are jobs like any other; the sheet is made when all ended.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio

from comfy_mcp import images
from comfy_mcp.errors import InvalidParameter, NotFound, WorkbenchError
from comfy_mcp.jobs import Asset, Job, JobRequest, JobState
from comfy_mcp.store import Record
from comfy_mcp.tasks import to_the_end
from comfy_mcp.workbench.settling import fixed_in
from comfy_mcp.workflows import Template, random_seed

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["MOST_CELLS", "Axis", "Sweep", "Sweeps", "requests_of", "sweep_from", "swept"]

SWEEPS = "sweep"
MOST_CELLS = 36
_MOST_SWEEPS = 100
_CELL_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter, and the values it takes in turn."""

    parameter: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> list[str]:
        return [f"{self.parameter} {value}" for value in self.values]


@dataclass(frozen=True, slots=True)
class Sweep:
    """``jobs`` are row by row, the values of the first axis from left to right. ``sheet`` is an asset, once made."""

    id: str
    template: str
    across: Axis
    down: Axis | None
    jobs: tuple[str, ...]
    sheet: str | None = None

    @property
    def rows(self) -> list[str]:
        return self.down.labels if self.down is not None else [""]

    def record(self, owner: str) -> Record:
        return Record(owner, SWEEPS, self.id, asdict(self))

    def label(self, index: int) -> str:
        """What makes this cell what it is."""
        row, column = divmod(index, len(self.across.values))
        return ", ".join(part for part in (self.across.labels[column], self.rows[row]) if part)


def sweep_from(record: Mapping[str, Any]) -> Sweep:
    """The sweep that `Sweep.record` was made of."""

    def axis(told: Mapping[str, Any] | None) -> Axis | None:
        return None if told is None else Axis(told["parameter"], tuple(told["values"]))

    across = axis(record["across"])
    assert across is not None
    return Sweep(
        record["id"], record["template"], across, axis(record["down"]), tuple(record["jobs"]), record.get("sheet")
    )


def swept(template: Template, over: Mapping[str, Sequence[Any]]) -> tuple[Axis, Axis | None]:
    """The axes. Raises InvalidParameter when they are no one or two parameters of the template, or too many cells."""
    if not 1 <= len(over) <= 2:
        raise InvalidParameter("over", "over does not name one or two parameters.", hint='Example: {"steps": [10, 30]}')
    for name, values in over.items():
        known = name in template.parameters or (name == "style" and template.takes_style)
        if not known:
            raise InvalidParameter(
                "over", f"{template.id} has no parameter {name[:64]!r}.", hint="describe_template lists them."
            )
        if not values:
            raise InvalidParameter("over", f"over gives no values for {name}.", hint="Give a list of values.")
        if name == "style" and not all(isinstance(value, str) for value in values):
            raise InvalidParameter("over", "over.style holds what is no style.", hint="list_styles names them.")
    across, *down = (Axis(name, tuple(values)) for name, values in over.items())
    cells = len(across.values) * (len(down[0].values) if down else 1)
    if cells > MOST_CELLS:
        raise InvalidParameter("over", f"That is {cells} pictures.", hint=f"Give at most {MOST_CELLS}.")
    return across, down[0] if down else None


def requests_of(request: JobRequest, across: Axis, down: Axis | None) -> list[JobRequest]:
    """One request for each cell. Where a seed is to be drawn all have the same, so that nothing else differs."""
    free, drawn = frozenset({across.parameter, *([down.parameter] if down else [])}), random_seed()
    cells: list[JobRequest] = []
    for below, beside in product(down.values if down else [None], across.values):
        changed = {across.parameter: beside} | ({down.parameter: below} if down else {})
        style = changed.pop("style", request.style)
        values = {**request.values, **changed}
        cells.append(replace(request, values=values, style=style, free=free, drawn=drawn))
    return cells


class Sweeps:
    """The sweeps of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._drawing = anyio.Lock()

    async def start(self, request: JobRequest, over: Mapping[str, Sequence[Any]]) -> Sweep:
        """Queue a job for each cell: all of them, or none. Raises as `Workbench.submit` does."""
        workbench = self._workbench
        template = workbench.catalogue.get(request.template)
        across, down = swept(template, over)
        for name in over:
            if name in fixed_in(workbench.settings.locked, template.id):
                # All pictures would have the fixed value under headings that say otherwise.
                raise InvalidParameter(name, f"{name} is fixed by an administrator.", hint="Vary another parameter.")
        sweep = Sweep(_new_id(), template.id, across, down, ())

        def record(jobs: Sequence[str]) -> Record:
            return replace(sweep, jobs=tuple(jobs)).record(request.owner)

        jobs = await workbench.submit_all(requests_of(request, across, down), record)
        await to_the_end(workbench.store.prune_records(request.owner, SWEEPS, _MOST_SWEEPS))
        return replace(sweep, jobs=tuple(job.id for job in jobs))

    async def of(self, owner: str) -> list[Sweep]:
        """The sweeps of a person, the newest first."""
        records = await self._workbench.store.records(owner, SWEEPS)
        return [sweep_from(records[name]) for name in sorted(records, reverse=True)]

    async def find(self, sweep: str, owner: str) -> Sweep | None:
        """The sweep of this id, when it is this owner's."""
        record = await self._workbench.store.record(owner, SWEEPS, sweep)
        return None if record is None else sweep_from(record)

    async def cells(self, sweep: Sweep, owner: str) -> list[Job]:
        """The jobs as they are now, row by row."""
        return [await self._workbench.job(job, owner) for job in sweep.jobs]

    async def wait(
        self, sweep: Sweep, owner: str, seconds: float, on_progress: Callable[[float], Awaitable[None]]
    ) -> list[Job]:
        """The jobs when all have ended, or as they are after ``seconds``; told of the share that is done."""

        async def see_through(done: int, job: str) -> None:
            async def changed(now: Job) -> None:
                await on_progress((done + now.progress.fraction) / len(sweep.jobs))

            await self._workbench.wait(job, seconds, owner, on_change=changed)

        with anyio.move_on_after(seconds):
            for done, job in enumerate(sweep.jobs):
                await see_through(done, job)
        return await self.cells(sweep, owner)

    async def cancel(self, sweep: Sweep, owner: str) -> None:
        """Stop every cell that has not ended."""
        for job in sweep.jobs:
            await self._workbench.cancel(job, owner)

    async def sheet(self, sweep: Sweep, owner: str) -> Asset:
        """The contact sheet of a sweep whose cells all ended; made once, and kept until somebody deletes it."""
        workbench = self._workbench
        async with self._drawing:
            kept = await self.find(sweep.id, owner) or sweep
            if kept.sheet is not None:
                with suppress(NotFound):
                    return await workbench.asset(kept.sheet, owner)
            cells = [await self._content(job, len(sweep.jobs)) for job in await self.cells(sweep, owner)]
            data = await images.contact_sheet(sweep.across.labels, sweep.rows, cells, title=sweep.template)
            asset = await workbench.assets.keep(data, name_fields={"template": f"{sweep.template}-sweep"})
            await workbench.store.add_asset(owner, asset)
            await workbench.assets.assure(asset, data)
            await workbench.store.keep_record(replace(sweep, sheet=asset.id).record(owner))
            return asset

    async def _content(self, job: Job, cells: int) -> bytes | str:
        """The picture of a cell, as small as the sheet shows it, or why there is none."""
        picture = next((asset for asset in job.assets if asset.mime.startswith("image/")), None)
        if picture is None:
            return str(job.state) if job.state is not JobState.SUCCEEDED else "no picture"
        try:
            data = await self._workbench.read(picture)
            return (await images.fit(data, max_bytes=_CELL_BYTES, max_side=images.side_of_cell(cells))).data
        except WorkbenchError:
            return "not readable"


def _new_id() -> str:
    """As long as the id of a job; the later, the greater."""
    return f"{time.time_ns() // 1_000_000:012x}{uuid4().hex[:20]}"
