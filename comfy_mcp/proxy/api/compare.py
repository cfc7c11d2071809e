"""`/api/v1/compare`: comparisons of text models for programs. Every handler is a few lines over the workbench."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sse_starlette import EventSourceResponse

from comfy_mcp.errors import BadRequest
from comfy_mcp.proxy.api.models import described_body
from comfy_mcp.proxy.asking import Owner, object_of
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.comparison_values import ComparisonValues, comparison_values
from comfy_mcp.workbench.plans import Plan, PlanState
from llm_bridge.compare import Results
from llm_bridge.compare.reports import data, markdown, page, picture, spreadsheet
from llm_bridge.providers import Model

__all__ = ["add_compare"]

_REPORTS: dict[str, tuple[str, Callable[[Results], str | bytes]]] = {
    "md": ("text/markdown; charset=utf-8", markdown),
    "csv": ("text/csv; charset=utf-8", spreadsheet),
    "json": ("application/json", lambda results: json.dumps(data(results), ensure_ascii=False)),
    "html": ("text/html; charset=utf-8", page),
    "png": ("image/png", picture),
}
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
Format = Literal["md", "csv", "json", "html", "png"]


class ComparisonOut(BaseModel):
    """A comparison. States: running, judging, then one of done, cancelled, failed.

    ``cells`` in all, of which ``done`` have ended and ``failed`` have no answer. ``told`` says why it failed.
    """

    id: str
    state: PlanState
    created: datetime
    models: list[str]
    cells: int
    done: int
    failed: int
    told: str
    notes: list[str]

    @classmethod
    def of(cls, plan: Plan) -> ComparisonOut:
        return cls(
            id=plan.id,
            state=plan.state,
            created=plan.created,
            models=list(plan.models),
            cells=plan.cells,
            done=plan.done,
            failed=plan.failed,
            told=plan.told,
            notes=list(plan.notes),
        )


class ComparisonsOut(BaseModel):
    """Newest first."""

    comparisons: list[ComparisonOut]


class ModelOut(BaseModel):
    """A model; what its server does not tell is null. ``size`` is bytes, ``context`` tokens."""

    id: str
    state: str | None
    size: int | None
    context: int | None
    vision: bool | None
    tools: bool | None
    reasoning: bool | None

    @classmethod
    def of(cls, model: Model) -> ModelOut:
        return cls(
            id=model.id,
            state=model.state,
            size=model.size,
            context=model.window,
            vision=model.vision,
            tools=model.tools,
            reasoning=model.reasoning,
        )


class ModelsOut(BaseModel):
    """The models of each LLM server, by its name."""

    servers: dict[str, list[ModelOut]]


class VoteIn(BaseModel):
    """``best`` is the label of the best answer of a ballot, or `tie`."""

    model_config = ConfigDict(extra="forbid")
    voter: Annotated[str, Field(max_length=100)]
    ballot: Annotated[str, Field(max_length=64)]
    best: Annotated[str, Field(max_length=8)]


def add_compare(api: APIRouter, workbench: Workbench) -> None:
    """Add these routes to those of `/api/v1`."""
    _add_comparisons(api, workbench)
    _add_results(api, workbench)
    _add_votes(api, workbench)

    @api.get("/llm/models")
    async def models() -> ModelsOut:
        """What language models there are now, and which are loaded."""
        offered = await workbench.chats.offered(fresh=True)
        return ModelsOut(servers={name: [ModelOut.of(model) for model in found] for name, found in offered.items()})


def _add_comparisons(api: APIRouter, workbench: Workbench) -> None:
    @api.post("/compare", status_code=202, openapi_extra=described_body(ComparisonValues))
    async def start(request: Request, response: Response, owner: Owner, key: Key = None) -> ComparisonOut:
        """Compare text models: each cell is a job in the queue. It is on disk before the answer; the same
        Idempotency-Key never makes a second one."""
        values = comparison_values(await object_of(request, '{"models": […], "prompts": […]}'))
        plan = await workbench.comparisons.start_from(values, owner, key)
        response.headers["Location"] = f"/api/v1/compare/{plan.id}"
        return ComparisonOut.of(plan)

    @api.get("/compare")
    async def comparisons(owner: Owner, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> ComparisonsOut:
        """The newest comparisons."""
        found = await workbench.comparisons.list(owner, limit=limit)
        return ComparisonsOut(comparisons=[ComparisonOut.of(plan) for plan in found])

    @api.get("/compare/{comparison}")
    async def comparison(comparison: str, owner: Owner) -> ComparisonOut:
        """One comparison as it is now."""
        return ComparisonOut.of(await workbench.comparisons.get(comparison, owner))

    @api.delete("/compare/{comparison}")
    async def cancel(comparison: str, owner: Owner) -> ComparisonOut:
        """Stop a comparison; what is answered stays."""
        return ComparisonOut.of(await workbench.comparisons.cancel(comparison, owner))

    @api.get("/compare/{comparison}/events", response_class=EventSourceResponse)
    async def events(comparison: str, owner: Owner) -> EventSourceResponse:
        """Follow a comparison as Server-Sent Events: `progress` with every change, then one `end`."""
        await workbench.comparisons.get(comparison, owner)
        return EventSourceResponse(_events(workbench, comparison, owner))


def _add_results(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/compare/{comparison}/results")
    async def results(comparison: str, owner: Owner) -> Response:
        """Every cell with its answer, measures and checks, the preferences and the ranking; also while it runs."""
        return await _report(workbench, comparison, owner, "json")

    @api.get("/compare/{comparison}/report.{kind}", response_class=Response)
    async def report(comparison: str, kind: Format, owner: Owner) -> Response:
        """The same as a document: Markdown, CSV, JSON, one page of HTML, or a picture."""
        return await _report(workbench, comparison, owner, kind)


async def _report(workbench: Workbench, comparison: str, owner: str, kind: Format) -> Response:
    plan = await workbench.comparisons.get(comparison, owner)
    results = await workbench.comparisons.results(plan)
    media, make = _REPORTS[kind]
    content = await to_thread.run_sync(make, results)
    headers = {"Content-Disposition": f'attachment; filename="comparison.{kind}"'} if kind in ("csv", "html") else {}
    return Response(content, media_type=media, headers={"Cache-Control": "no-store"} | headers)


def _add_votes(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/compare/{comparison}/ballots")
    async def ballots(comparison: str, owner: Owner, voter: Annotated[str, Query(max_length=100)]) -> dict[str, Any]:
        """What a person is asked: answers side by side, without the names of their models."""
        plan = await workbench.comparisons.get(comparison, owner)
        found = await workbench.comparisons.ballots(plan, voter)
        return {
            "ballots": [
                {
                    "id": ballot.id,
                    "prompt": ballot.prompt.name,
                    "text": ballot.prompt.text,
                    "choices": [{"label": choice.label, "text": choice.text} for choice in ballot.choices],
                    "voted": ballot.voted,
                }
                for ballot in found
            ]
        }

    @api.post("/compare/{comparison}/votes", openapi_extra=described_body(VoteIn))
    async def vote(comparison: str, request: Request, owner: Owner) -> dict[str, Any]:
        """Keep a vote; the answer tells which model stood behind each label."""
        plan = await workbench.comparisons.get(comparison, owner)
        try:
            told = VoteIn.model_validate(await object_of(request))
        except ValidationError as failure:
            first = failure.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise BadRequest(f"{where}: {first['msg']}.", hint='Send {"voter", "ballot", "best"} as JSON.') from None
        counted = await workbench.comparisons.vote(plan, told.voter, told.ballot, told.best)
        return {"models": dict(counted.models)}


async def _events(workbench: Workbench, comparison: str, owner: str) -> AsyncGenerator[dict[str, str]]:
    async with aclosing(workbench.comparisons.follow(comparison, owner)) as changes:
        async for plan in changes:
            told = ComparisonOut.of(plan).model_dump_json()
            yield {"event": "end" if plan.state.ended else "progress", "data": told}
