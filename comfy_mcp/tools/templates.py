"""The tools that make pictures: one per template, and `run_template` for those that the list has no room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types

from comfy_mcp.content import job_result
from comfy_mcp.tools.arguments import TEMPLATE, WAIT, object_of, schema, seconds_of, text_of
from comfy_mcp.tools.pictures import with_uploads
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.tools.requests import request_for
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import MOST_CHOICES, json_schema

__all__ = ["RUN_TEMPLATE", "template_tool"]

_STOP_SECONDS = 5.0


def template_tool(workbench: Workbench, template: str, *, terse: bool = False) -> Tool:
    """The tool of one template; enums come from what ComfyUI offered when it last answered, without asking it.

    ``terse`` leaves them out: they are checked all the same.
    """
    most = 0 if terse else MOST_CHOICES
    found = workbench.catalogue.get(template)

    async def run(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
        return await _make(workbench, caller, template, arguments)

    return Tool(
        name=template,
        title=found.title,
        description=found.description,
        # It takes an idempotency_key as well; what no model fills in is not worth its bytes in every turn.
        schema=json_schema(
            found, styles=workbench.catalogue.styles, object_info=workbench.known_info, max_choices=most
        ),
        run=run,
        shown=True,
    )


async def _make(
    workbench: Workbench, caller: Caller, template: str, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    asked, key = request_for(caller, template, arguments)
    job = await workbench.earlier(asked, key)
    if job is None:
        values = await with_uploads(workbench, template, asked.values, caller.owner)
        job = await workbench.submit(replace(asked, values=values, asked=asked.values), key)
    try:
        job = await workbench.wait(job.id, caller.wait, on_change=caller.on_change)
    except anyio.get_cancelled_exc_class():
        # Who gives a key asks again with it; else nobody would see the picture, and the card has others to serve.
        if key is None and workbench.drops_abandoned:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_STOP_SECONDS):
                await workbench.cancel(job.id)
        raise
    return await job_result(workbench, job, caller.budget)


async def _run_template(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    given = {**object_of(arguments, "values"), "idempotency_key": arguments.get("idempotency_key")}
    patient = replace(caller, wait=seconds_of(arguments, caller.wait))
    return await _make(workbench, patient, text_of(arguments, "template"), given)


RUN_TEMPLATE = Tool(
    name="run_template",
    description="Run any template by id.",
    schema=schema(
        template=TEMPLATE,
        values={"type": "object", "description": "See describe_template.", "optional": True},
        wait=WAIT,
        idempotency_key={"type": "string", "description": "Same key, same job.", "optional": True},
    ),
    run=_run_template,
    shown=True,
)
