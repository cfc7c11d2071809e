"""The tools that make pictures: one per template, and `run_template` for those that the list has no room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio
import mcp_types as types

from comfy_mcp.content import job_result
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import JobRequest
from comfy_mcp.tools.pictures import with_uploads
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import json_schema

__all__ = ["RUN_TEMPLATE", "template_tool"]

MOST_KEY = 255
_KEY = {"type": "string", "description": "Same key, same job."}


def template_tool(workbench: Workbench, template: str) -> Tool:
    """The tool of one template; enums come from what ComfyUI offered when it last answered, without asking it."""
    found = workbench.catalogue.get(template)

    async def run(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
        return await _make(workbench, caller, template, arguments)

    return Tool(
        name=template,
        title=found.title,
        description=found.description,
        schema=_with_key(json_schema(found, styles=workbench.catalogue.styles, object_info=workbench.known_info)),
        run=run,
    )


def _with_key(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], "idempotency_key": _KEY}}


async def _make(
    workbench: Workbench, caller: Caller, template: str, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    values = await with_uploads(workbench, template, arguments, caller.owner)
    key = values.pop("idempotency_key", None) or None
    if key is not None and not (isinstance(key, str) and len(key) <= MOST_KEY):
        raise InvalidParameter(
            "idempotency_key", "idempotency_key is not a short text.", hint=f"Give at most {MOST_KEY} characters."
        )
    style = values.pop("style", None) or None
    if style is not None and not isinstance(style, str):
        raise InvalidParameter("style", "style is not a text.", hint="Give the name of a style, or leave it out.")
    job = await workbench.submit(JobRequest(template, values, style, caller.owner), key)
    try:
        job = await workbench.wait(job.id, caller.wait, on_change=caller.on_change)
    except anyio.get_cancelled_exc_class():
        # The chat gave the call up: nobody would see the picture, and the card has others to serve.
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await workbench.cancel(job.id)
        raise
    return await job_result(workbench, job, caller.budget)


async def _run_template(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    template: object = arguments.get("template")
    values: object = arguments.get("values") or {}
    if not isinstance(template, str):
        raise InvalidParameter("template", "template is missing.", hint="list_templates names them.")
    if not isinstance(values, Mapping):
        raise InvalidParameter("values", "values is not an object.", hint="describe_template names the parameters.")
    given = {**cast(Mapping[str, Any], values), "idempotency_key": arguments.get("idempotency_key")}
    return await _make(workbench, caller, template, given)


RUN_TEMPLATE = Tool(
    name="run_template",
    description="Run any template by id, also one that is not a tool of its own.",
    schema={
        "type": "object",
        "properties": {
            "template": {"type": "string", "description": "Id from list_templates."},
            "values": {"type": "object", "description": "Parameters as describe_template names them."},
            "idempotency_key": _KEY,
        },
        "required": ["template"],
    },
    run=_run_template,
)
