"""The tool `sweep`: one or two parameters over values, answered with a contact sheet and the jobs of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio
import mcp_types as types

from comfy_mcp.content import job_data, picture_blocks
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import Asset, Job, JobState, Progress
from comfy_mcp.texts import CHAT
from comfy_mcp.tools.arguments import TEMPLATE, object_of, schema, text_of
from comfy_mcp.tools.pictures import with_uploads
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.tools.requests import request_for
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.sweeps import Sweep

__all__ = ["SWEEP", "sweep_result"]

_SHEET_PICTURES = 3
"""A sheet may take as much as this many pictures."""


async def _sweep(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    if (template := text_of(arguments, "template", "txt2img")) == CHAT:
        hint = "compare_text_models asks models with several parameters."
        raise InvalidParameter("template", "A chat cannot be swept.", hint=hint)
    values = await with_uploads(workbench, template, object_of(arguments, "values"), caller.owner)
    request, _ = request_for(caller, template, values)
    sweep = await workbench.sweeps.start(request, _over(arguments))
    try:
        return await sweep_result(workbench, caller, sweep, caller.wait)
    except anyio.get_cancelled_exc_class():
        if workbench.drops_abandoned:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await workbench.sweeps.cancel(sweep, caller.owner)
        raise


def _over(arguments: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    over = object_of(arguments, "over")
    for name, values in over.items():
        if not isinstance(values, list):
            raise InvalidParameter("over", f"over.{name[:64]} is no list.", hint='Example: {"steps": [10, 20, 30]}')
    return cast(dict[str, Sequence[Any]], over)


async def sweep_result(workbench: Workbench, caller: Caller, sweep: Sweep, seconds: float) -> types.CallToolResult:
    """The sheet when all cells ended, or how far they are."""

    async def progressed(fraction: float) -> None:
        job = await workbench.job(sweep.jobs[0], caller.owner)
        await caller.on_change(replace(job, progress=Progress(fraction)))

    cells = await workbench.sweeps.wait(sweep, caller.owner, seconds, progressed)
    left = sum(not job.state.terminal for job in cells)
    if left:
        again = f'Call get_result with job_id "{sweep.id}" to wait for it, or cancel_job to stop it.'
        text = f"sweep of {sweep.template}: {left} of {len(cells)} pictures are left. {again}\njob {sweep.id}"
        return _answer(caller, sweep, cells, None, [types.TextContent(text=text)])
    sheet = await workbench.sweeps.sheet(sweep, caller.owner)
    lines = [f"sweep of {sweep.template}: {len(cells)} pictures\njob {sweep.id}"]
    lines += [f"{sweep.label(index)}: {_told(job)}" for index, job in enumerate(cells)]
    lines += [f"Note: {warning}" for warning in dict.fromkeys(told for job in cells for told in job.warnings)]
    if link := caller.budget.link(sheet):
        lines.append(f"Full size: {link}")
    most = min(caller.budget.answer_bytes, _SHEET_PICTURES * caller.budget.picture_bytes)
    shown = await picture_blocks(workbench, [sheet], replace(caller.budget, picture_bytes=most))
    return _answer(caller, sweep, cells, sheet, [types.TextContent(text="\n".join(lines)), *shown])


def _told(job: Job) -> str:
    seed = f"seed {job.values['seed']}, " if "seed" in job.values else ""
    return f"{seed}job {job.id}" if job.error is None else f"Error: {job.error.message}"


def _answer(
    caller: Caller, sweep: Sweep, cells: Sequence[Job], sheet: Asset | None, content: list[types.ContentBlock]
) -> types.CallToolResult:
    return types.CallToolResult(content=content, structured_content=_structured(caller, sweep, cells, sheet))


def _structured(caller: Caller, sweep: Sweep, cells: Sequence[Job], sheet: Asset | None) -> dict[str, Any] | None:
    """As a job whose one picture is the sheet: what draws jobs draws sweeps."""
    if not caller.budget.structured:
        return None
    state = JobState.RUNNING if sheet is None else JobState.SUCCEEDED
    done = sum(job.progress.fraction if not job.state.terminal else 1.0 for job in cells) / len(cells)
    shown = replace(cells[0], id=sweep.id, state=state, progress=Progress(done), error=None, style=None)
    return {"view": "result", "job": job_data(replace(shown, assets=() if sheet is None else (sheet,)))}


SWEEP = Tool(
    name="sweep",
    description="One or two parameters over values: a labelled contact sheet.",
    schema=schema(
        template={**TEMPLATE, "description": "txt2img when left out.", "optional": True},
        values={"type": "object", "description": "The other parameters.", "optional": True},
        over={"type": "object", "description": 'Such as {"steps": [10, 30], "sampler": ["euler", "dpmpp_2m"]}.'},
    ),
    run=_sweep,
    shown=True,
)
