"""The tools beside the pictures: what can be made, the result of an earlier job, and stopping one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types

from comfy_mcp.content import job_result, job_status, text_result
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import describe

__all__ = ["JOB_TOOLS"]

_LISTED = 20
_JOB_ID = {"type": "string", "description": "Job id from an earlier answer."}


async def _get_result(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    seconds = arguments.get("wait", caller.wait)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        raise InvalidParameter("wait", "wait is not a number of seconds from 0 to 3600.", hint="Leave it out.")
    # Never longer than this chat waits for an answer: it would hang up, and see nothing.
    wait = min(seconds, caller.wait)
    job = await workbench.wait(_text(arguments, "job_id"), wait, caller.owner, on_change=caller.on_change)
    return await job_result(workbench, job, caller.budget)


async def _cancel_job(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    job = await workbench.cancel(_text(arguments, "job_id"), caller.owner)
    job = await workbench.wait(job.id, min(10.0, caller.wait), caller.owner)
    what = "It had already ended." if job.state.terminal and job.state != "cancelled" else ""
    what = what or ("" if job.state.terminal else "It stops at the next step.")
    return text_result(f"{job.template}: {job.state}. {what}".strip() + f"\njob {job.id}")


async def _list_jobs(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    waiting = await workbench.active(caller.owner, limit=_LISTED)
    newest = await workbench.jobs(caller.owner, limit=_LISTED)
    jobs = [*waiting, *(job for job in newest if job.state.terminal)][:_LISTED]
    lines = [f"{job.id} {job.template}: {job_status(job)}" for job in jobs]
    return text_result("\n".join(lines) or "There are no jobs.")


async def _list_templates(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    catalogue = workbench.catalogue
    lines = [f"{name}: {template.description}" for name, template in catalogue.templates.items()]
    lines += ["", "Styles: " + ", ".join(catalogue.styles)]
    lines += [f"Cannot be used: {diagnostic}" for diagnostic in catalogue.diagnostics if diagnostic.fatal]
    return text_result("\n".join(lines))


async def _describe_template(
    workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    template = workbench.catalogue.get(_text(arguments, "template"))
    info = await workbench.object_info()
    told = describe(template, object_info=info)
    lines = [f"{template.id}: {template.description}"]
    lines += [_parameter_line(parameter) for parameter in told["parameters"]]
    return text_result("\n".join(lines))


def _parameter_line(parameter: Mapping[str, Any]) -> str:
    facts = [parameter["type"]]
    facts += [
        f"{name} {parameter[name]}" for name in ("default", "min", "max", "step") if parameter.get(name) is not None
    ]
    if choices := parameter.get("choices"):
        facts.append("one of " + ", ".join(map(str, choices)))
    return f"- {parameter['name']} ({'; '.join(facts)}): {parameter.get('help') or parameter.get('label', '')}"


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameter(name, f"{name} is missing or not a text.", hint="Give it as an earlier answer did.")
    return value


def _schema(**properties: dict[str, Any]) -> dict[str, Any]:
    required = [name for name, value in properties.items() if not value.pop("optional", False)]
    return {"type": "object", "properties": properties, "required": required}


JOB_TOOLS = (
    Tool(
        name="get_result",
        description="Wait for a job that was not ready in time, and get its pictures.",
        schema=_schema(
            job_id=_JOB_ID,
            wait={"type": "number", "description": "Seconds to wait at most.", "minimum": 0, "optional": True},
        ),
        run=_get_result,
        read_only=True,
    ),
    Tool(
        name="cancel_job",
        description="Stop a job that is waiting or running.",
        schema=_schema(job_id=_JOB_ID),
        run=_cancel_job,
    ),
    Tool(
        name="list_jobs",
        description="The jobs that run and wait, with their place in the queue, and the latest that ended.",
        schema={"type": "object", "properties": {}},
        run=_list_jobs,
        read_only=True,
    ),
    Tool(
        name="list_templates",
        description="List everything that can be made here, and the styles.",
        schema={"type": "object", "properties": {}},
        run=_list_templates,
        read_only=True,
    ),
    Tool(
        name="describe_template",
        description="All parameters of a template with ranges and every choice, such as samplers and models.",
        schema=_schema(template={"type": "string", "description": "Id from list_templates."}),
        run=_describe_template,
        read_only=True,
    ),
)
