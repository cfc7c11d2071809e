"""The routes of this section. Every handler is a few lines over the workbench."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from sse_starlette import EventSourceResponse
from starlette.responses import RedirectResponse

from comfy_mcp.errors import WorkbenchError
from comfy_mcp.proxy.asking import Owner, fields_of
from comfy_mcp.proxy.page.compare.events import Has, Watch, ended_cells, progress_of
from comfy_mcp.proxy.page.compare.form import ROWS, Refusal, fields_like, key_of, rows_of, values_of
from comfy_mcp.proxy.page.compare.grid import Grid
from comfy_mcp.proxy.page.compare.looks import Looks
from comfy_mcp.proxy.page.compare.models import group, groups, is_set_up
from comfy_mcp.proxy.page.compare.reading import reading_of
from comfy_mcp.proxy.page.compare.standing import standing_of
from comfy_mcp.proxy.page.compare.voting import TIE, booth_of, named
from comfy_mcp.proxy.page.rendering import document, part
from comfy_mcp.workbench import Workbench
from llm_bridge.compare.checks import KINDS
from llm_bridge.compare.judge import CRITERIA

__all__ = ["add_compare"]

_LISTED = 100
_MOST_SHOWN = 32
_Voter = Annotated[str, Query(max_length=100)]


def add_compare(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""
    _add_starting(page, workbench)
    _add_watching(page, workbench)
    _add_ending(page, workbench)
    _add_voting(page, workbench)


def _add_starting(page: APIRouter, workbench: Workbench) -> None:
    @page.get("/compare")
    async def show(request: Request, owner: Owner) -> Response:
        plans = await workbench.comparisons.list(owner, limit=_LISTED)
        return document(request, "compare/index.html", plans=plans, set_up=is_set_up(workbench))

    @page.get("/compare/new")
    async def new(request: Request, owner: Owner, like: str = "") -> Response:
        fields, pictured = {"once": uuid4().hex}, False
        if like:
            plan = await workbench.comparisons.get(like, owner)
            asked = (await workbench.comparisons.results(plan)).comparison
            fields |= fields_like(plan, asked)
            pictured = any(prompt.images for prompt in asked.prompts)
        return await _form(request, workbench, fields, pictured=pictured)

    @page.get("/compare/new/models")
    async def models(request: Request, server: str) -> Response:
        return part(request, "compare/_models.html", group=await group(workbench, server), fields={}, swapped=True)

    @page.post("/compare")
    async def start(request: Request, owner: Owner) -> Response:
        fields = await fields_of(request)
        try:
            plan = await workbench.comparisons.start_from(values_of(fields), owner, key_of(fields))
        except WorkbenchError as failure:
            return await _form(request, workbench, fields, failure)
        return RedirectResponse(f"/compare/{plan.id}", 303)


async def _form(
    request: Request,
    workbench: Workbench,
    fields: dict[str, str],
    failure: WorkbenchError | None = None,
    *,
    pictured: bool = False,
) -> Response:
    """The form with what was typed, and the refusal beside its field; ``pictured``: pictures were left out."""
    # Under the address where it is opened, also when it comes back with a refusal.
    shown: dict[str, Any] = {"groups": await groups(workbench), "here": "/compare/new"}
    shown |= {"fields": fields, "rows": rows_of(fields), "most_rows": ROWS, "kinds": KINDS, "criteria": CRITERIA}
    shown["pictured"] = pictured
    shown["refusal"] = None if failure is None else Refusal.of(failure)
    return document(request, "compare/new.html", status=failure.status if failure else 200, **shown)


def _add_watching(page: APIRouter, workbench: Workbench) -> None:
    comparisons, looks = workbench.comparisons, Looks(workbench)

    @page.get("/compare/{comparison}")
    async def comparison(request: Request, comparison: str, owner: Owner, page: int = 1) -> Response:
        writing = comparisons.writing(comparison)
        plan = await comparisons.get(comparison, owner)
        results = await comparisons.results(plan)
        grid = Grid(results.comparison, page, over=plan.state.ended)
        lines = await to_thread.run_sync(grid.lines, results, writing)
        has = ended_cells([cell for line in lines for cell in line.cells])
        told = progress_of(workbench, plan, await to_thread.run_sync(standing_of, results))
        shown: dict[str, Any] = {**told, "grid": grid, "lines": lines, "has": f"{has:x}", "swapped": False}
        return document(request, "compare/comparison.html", **shown)

    @page.get("/compare/{comparison}/events")
    async def events(
        request: Request, comparison: str, owner: Owner, page: int = 1, has: str = "", busy: str = ""
    ) -> Response:
        plan = await comparisons.get(comparison, owner)
        watch = Watch(request, workbench, looks.of(plan), page, Has.of(has, busy))
        return EventSourceResponse(watch.events())

    @page.get("/compare/{comparison}/read")
    async def read(
        request: Request,
        comparison: str,
        owner: Owner,
        show: Annotated[list[int], Query(default_factory=list[int], max_length=_MOST_SHOWN)],
        prompt: int = 0,
        differences: bool = False,
    ) -> Response:
        plan = await comparisons.get(comparison, owner)
        reading = await reading_of(await comparisons.results(plan), prompt, show, differences=differences)
        return document(request, "compare/read.html", plan=plan, reading=reading)


def _add_ending(page: APIRouter, workbench: Workbench) -> None:
    @page.post("/compare/{comparison}/cancel")
    async def cancel(comparison: str, owner: Owner) -> Response:
        plan = await workbench.comparisons.cancel(comparison, owner)
        return RedirectResponse(f"/compare/{plan.id}", 303)

    @page.post("/compare/{comparison}/delete")
    async def delete(comparison: str, owner: Owner) -> Response:
        await workbench.comparisons.delete(comparison, owner)
        return RedirectResponse("/compare", 303)


def _add_voting(page: APIRouter, workbench: Workbench) -> None:
    comparisons = workbench.comparisons

    @page.get("/compare/{comparison}/vote")
    async def ballot(request: Request, comparison: str, owner: Owner, voter: _Voter = "", start: int = 0) -> Response:
        plan = await comparisons.get(comparison, owner)
        if not voter.strip():
            known = owner.partition(":")[2]
            return document(request, "compare/voter.html", plan=plan, name=known[:100])
        booth = booth_of(await comparisons.ballots(plan, voter), voter, start)
        return document(request, "compare/vote.html", plan=plan, booth=booth, tie=TIE)

    @page.post("/compare/{comparison}/vote")
    async def vote(request: Request, comparison: str, owner: Owner) -> Response:
        fields = await fields_of(request)
        plan = await comparisons.get(comparison, owner)
        voter, ballot, best = (fields.get(name, "") for name in ("voter", "ballot", "best"))
        counted = await comparisons.vote(plan, voter, ballot, best)
        ballots = await comparisons.ballots(plan, voter)
        booth = named(ballots, voter, ballot, counted.models, best)
        return document(request, "compare/vote.html", plan=plan, booth=booth, tie=TIE)
