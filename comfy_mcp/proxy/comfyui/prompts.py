"""`/comfyui/prompt`, `/queue`, `/history` and `/interrupt`: graphs as jobs of the one queue, and what became of them.

Each handler is a few lines over the workbench and knows only the jobs of this caller that came this way. What ComfyUI's
own clients send beside the graph (number, front, extra_data) is not heeded: the order is the workbench's.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from comfy_mcp.callers import Right
from comfy_mcp.errors import BadRequest, NotAllowed, NotFound, TemplateError, WorkflowRejected
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.proxy.asking import Owner, asker_of, json_in
from comfy_mcp.proxy.comfyui.hub import Hub
from comfy_mcp.proxy.comfyui.shapes import entry_of, is_ours, number_of, queued
from comfy_mcp.proxy.comfyui.sockets import client_of
from comfy_mcp.proxy.comfyui.wording import comfyui_failure
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import MOST_GRAPH_BYTES

__all__ = ["add_prompts"]

_MOST_ACTIVE = 1000
_MOST_HISTORY = 200
_REFUSED = 400


def add_prompts(api: APIRouter, workbench: Workbench, hub: Hub) -> None:
    """The routes of graphs and their results."""
    _add_prompt(api, workbench, hub)
    _add_queue(api, workbench)
    _add_history(api, workbench)


def _add_prompt(api: APIRouter, workbench: Workbench, hub: Hub) -> None:
    @api.get("/prompt")
    async def remaining(owner: Owner) -> dict[str, Any]:
        """How many prompts of this caller wait or run."""
        return {"exec_info": {"queue_remaining": await workbench.graphs.count(owner)}}

    @api.post("/prompt")
    async def prompt(request: Request) -> Response:
        """Queue a graph. Events about it go to the socket of its client_id."""
        asker = asker_of(request)
        if Right.GRAPHS not in asker.rights:
            raise NotAllowed("This token may not send graphs.", hint="Ask for one that has the right `graphs`.")
        told = await _told(request)
        try:
            job = await workbench.graphs.submit(told.get("prompt"), asker.owner)
        except (TemplateError, WorkflowRejected) as refusal:
            return JSONResponse(comfyui_failure(refusal.record, _REFUSED), _REFUSED)
        client = client_of(told.get("client_id"))
        if client is not None:
            hub.submitted(asker.owner, client, job.id)
        return JSONResponse({"prompt_id": job.id, "number": number_of(job), "node_errors": {}})


def _add_queue(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/queue")
    async def queue(owner: Owner) -> dict[str, list[Any]]:
        """What runs and what waits of this caller, oldest first."""
        active = await workbench.graphs.active(owner, limit=_MOST_ACTIVE)
        running = [queued(job) for job in active if job.state is JobState.RUNNING]
        waiting = [queued(job) for job in active if job.state is JobState.QUEUED]
        return {"queue_running": running, "queue_pending": waiting}

    @api.post("/queue")
    async def change(request: Request, owner: Owner) -> Response:
        """Take waiting prompts of this caller out of the queue, each by its id."""
        told = await _told(request)
        if told.get("clear"):
            raise BadRequest("The queue is not cleared as a whole.", hint='Name the prompts: {"delete": [id, …]}.')
        named = told.get("delete")
        for job in cast("list[Any]", named)[:_MOST_ACTIVE] if isinstance(named, list) else ():
            await _stop(workbench, job, owner, JobState.QUEUED)
        return Response()

    @api.post("/interrupt")
    async def interrupt(request: Request, owner: Owner) -> Response:
        """Stop the running prompt of this id, or this caller's oldest running one; of nobody else's."""
        told = await _told(request) if await request.body() else {}
        named: object = told.get("prompt_id")
        if named is None:
            active = await workbench.graphs.active(owner, limit=1)
            named = next((job.id for job in active if job.state is JobState.RUNNING), None)
        await _stop(workbench, named, owner, JobState.RUNNING)
        return Response()


def _add_history(api: APIRouter, workbench: Workbench) -> None:
    @api.get("/history")
    async def history(
        owner: Owner, max_items: Annotated[int, Query(ge=1)] = _MOST_HISTORY
    ) -> dict[str, dict[str, Any]]:
        """The prompts that ended among the newest 200 of this caller, oldest first."""
        found = await workbench.graphs.newest(owner, limit=_MOST_HISTORY)
        ended = [job for job in found if job.state.terminal][:max_items]
        return {job.id: entry_of(job) for job in reversed(ended)}

    @api.get("/history/{prompt_id}")
    async def entry(prompt_id: str, owner: Owner) -> dict[str, dict[str, Any]]:
        """A prompt that ended; nothing while it runs, and of what there is not."""
        job = await _own(workbench, prompt_id, owner)
        return {} if job is None or not job.state.terminal else {job.id: entry_of(job)}


async def _told(request: Request) -> dict[str, Any]:
    """The body as JSON, whatever it is called: LobeHub sends it as text/plain (fetchApi of @saintno/comfyui-sdk drops
    the header). A page of another origin, which could do that too, was stopped by the guard. Raises BadRequest."""
    return await json_in(request, '{"prompt": {…}, "client_id": "…"}', most=MOST_GRAPH_BYTES)


async def _own(workbench: Workbench, job: object, owner: str) -> Job | None:
    """The prompt of this id, if it is the caller's."""
    try:
        found = await workbench.job(job, owner) if isinstance(job, str) else None
    except NotFound:
        return None
    return found if found is not None and is_ours(found) else None


async def _stop(workbench: Workbench, job: object, owner: str, state: JobState) -> None:
    found = await _own(workbench, job, owner)
    if found is not None and found.state is state:
        await workbench.cancel(found.id, owner)
