"""The tools for what was started already: its result, its end, and what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types

from comfy_mcp.content import job_result, job_status, text_result
from comfy_mcp.tools.arguments import JOB_ID, WAIT, schema, seconds_of, text_of
from comfy_mcp.tools.comparing import comparison_result
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.tools.sweeps import sweep_result
from comfy_mcp.workbench import Workbench

__all__ = ["JOB_TOOLS"]

_LISTED = 20


async def _get_result(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    wait, job_id = seconds_of(arguments, caller.wait), text_of(arguments, "job_id")
    if (sweep := await workbench.sweeps.find(job_id, caller.owner)) is not None:
        return await sweep_result(workbench, caller, sweep, wait)
    if (plan := await workbench.comparisons.find(job_id, caller.owner)) is not None:
        return await comparison_result(workbench, caller, plan, wait)
    job = await workbench.wait(job_id, wait, caller.owner, on_change=caller.on_change)
    return await job_result(workbench, job, caller.budget)


async def _cancel_job(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    job_id = text_of(arguments, "job_id")
    if (sweep := await workbench.sweeps.find(job_id, caller.owner)) is not None:
        await workbench.sweeps.cancel(sweep, caller.owner)
        return text_result(f"sweep of {sweep.template}: what had not ended is stopped.\njob {sweep.id}")
    if await workbench.comparisons.find(job_id, caller.owner) is not None:
        plan = await workbench.comparisons.cancel(job_id, caller.owner)
        return text_result(f"comparison: {plan.state}. What is answered stays.\njob {plan.id}")
    job = await workbench.cancel(job_id, caller.owner)
    job = await workbench.wait(job.id, min(10.0, caller.wait), caller.owner)
    what = "It had already ended." if job.state.terminal and job.state != "cancelled" else ""
    what = what or ("" if job.state.terminal else "It stops at the next step.")
    return text_result(f"{job.template}: {job.state}. {what}".strip() + f"\njob {job.id}")


async def _list_jobs(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    waiting = await workbench.active(caller.owner, limit=_LISTED)
    newest = await workbench.jobs(caller.owner, limit=_LISTED, cells=False)
    jobs = [*waiting, *(job for job in newest if job.state.terminal)][:_LISTED]
    lines = [f"{job.id} {job.template}: {job_status(job)}" for job in jobs]
    return text_result("\n".join(lines) or "There are no jobs.")


JOB_TOOLS = (
    Tool(
        name="get_result",
        description="Wait for a job and get its pictures.",
        schema=schema(job_id=JOB_ID, wait=WAIT),
        run=_get_result,
        read_only=True,
        shown=True,
    ),
    Tool(
        name="cancel_job",
        description="Stop a job that is waiting or running.",
        schema=schema(job_id=JOB_ID),
        run=_cancel_job,
        destructive=True,
    ),
    Tool(
        name="list_jobs",
        description="Jobs that run, wait in the queue, or ended lately.",
        schema=schema(),
        run=_list_jobs,
        read_only=True,
    ),
)
