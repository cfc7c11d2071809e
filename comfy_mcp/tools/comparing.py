"""The tool `compare_text_models`: several language models asked the same, side by side, and a judge if one is named."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import anyio
import mcp_types as types
from anyio import to_thread

from comfy_mcp.content import text_result
from comfy_mcp.jobs import BoundWorkflow, Job, JobState, Progress
from comfy_mcp.tools.arguments import schema
from comfy_mcp.tools.registry import Caller, Tool
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.comparison_values import comparison_values
from comfy_mcp.workbench.plans import Plan, PlanState
from llm_bridge.compare import CellResult, Results
from llm_bridge.compare.reports import models_table

__all__ = ["COMPARE", "comparison_result"]

_MOST_LETTERS = 16_000
_LEAST_SHOWN = 120
_STOP_SECONDS = 5.0


async def _compare(workbench: Workbench, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    asked = {name: value for name, value in arguments.items() if value not in (None, "", [])}
    asked.setdefault("models", ["*"])
    if isinstance(judge := asked.get("judge"), str):
        asked["judge"] = {"model": judge}
    plan = await workbench.comparisons.start_from(comparison_values(asked), caller.owner)
    try:
        return await comparison_result(workbench, caller, plan, caller.wait)
    except anyio.get_cancelled_exc_class():
        if workbench.drops_abandoned:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_STOP_SECONDS):
                await workbench.comparisons.cancel(plan.id, caller.owner)
        raise


async def comparison_result(workbench: Workbench, caller: Caller, plan: Plan, seconds: float) -> types.CallToolResult:
    """The answers when the comparison has ended, or how far it is after ``seconds``."""
    with anyio.move_on_after(seconds):
        async with aclosing(workbench.comparisons.follow(plan.id, caller.owner)) as changes:
            async for plan in changes:
                await caller.on_change(_as_job(plan))
    if not plan.state.ended:
        again = f'Call get_result with job_id "{plan.id}" to wait for it, or cancel_job to stop it.'
        what = "the judge is at work" if plan.state is PlanState.JUDGING else f"{plan.done} of {plan.cells} answers"
        return text_result(f"comparison of {len(plan.models)} models: {what}. {again}\njob {plan.id}")
    if plan.state is PlanState.FAILED:
        return types.CallToolResult(
            content=[types.TextContent(text=f"Error: {plan.told}\njob {plan.id}")], is_error=True
        )
    results = await workbench.comparisons.results(plan)
    return text_result(await to_thread.run_sync(_told, plan, results))


def _as_job(plan: Plan) -> Job:
    """For who hears of progress."""
    fraction = plan.done / plan.cells
    bound = BoundWorkflow({}, {})
    state = JobState.SUCCEEDED if plan.state.ended else JobState.RUNNING
    progress = Progress(fraction, plan.done, plan.cells)
    return Job(plan.id, plan.owner, "compare", None, bound, state, plan.created, progress=progress)


def _told(plan: Plan, results: Results) -> str:
    """A table of the models, then the answers prompt by prompt, each as long as there is room for."""
    lines = [f"comparison of {len(plan.models)} models: {plan.state}\njob {plan.id}", "", models_table(results)]
    lines += [f"Note: {note}" for note in plan.notes]
    share = max(_LEAST_SHOWN, _MOST_LETTERS // max(1, len(results.cells)))
    left, prompt = _MOST_LETTERS, None
    for result in results.cells:
        if result.cell.prompt.name != prompt:
            prompt = result.cell.prompt.name
            lines += ["", f"## {prompt}"]
        shown = _answer(result, share)
        left -= len(shown)
        if left < 0:
            lines.append("… The other answers are in the report of the workbench.")
            break
        lines.append(shown)
    return "\n".join(lines)


def _answer(result: CellResult, most: int) -> str:
    cell = result.cell
    parts = (cell.variant.name, f"#{cell.repeat + 1}" if cell.repeat else "")
    which = "".join(f" ({part})" for part in parts if part)
    if result.reply is None:
        return f"**{cell.model}**{which}: Error: {result.failure}"
    text = result.reply.text.strip()
    failed = [check.rule for check in result.checks if not check.passed]
    note = f" [fails {', '.join(failed)}]" if failed else ""
    return f"**{cell.model}**{which}{note}: {text if len(text) <= most else text[: most - 1] + '…'}"


COMPARE = Tool(
    name="compare_text_models",
    description="Ask several local language models the same, side by side.",
    schema=schema(
        prompts={"type": "array", "items": {"type": "string"}},
        models={
            "type": "array",
            "items": {"type": "string"},
            "description": "Names or patterns; all when left out.",
            "optional": True,
        },
        system={"type": "string", "optional": True},
        parameters={"type": "string", "description": "Such as temperature=0,1;max_tokens=200.", "optional": True},
        judge={"type": "string", "description": "A model that ranks the answers.", "optional": True},
    ),
    run=_compare,
    for_texts=True,
)
