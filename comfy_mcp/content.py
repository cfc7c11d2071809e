"""Turns jobs and errors into what a chat receives: a short text first, then the pictures within the byte budget.

Owns the wording and the shape of answers, so that every tool speaks alike. Knows MCP's content types, not its server.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent

from comfy_mcp import images
from comfy_mcp.errors import InternalError, WorkbenchError
from comfy_mcp.jobs import Asset, Job, JobState

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = ["Budget", "describe_job", "error_result", "job_result", "job_status", "text_result"]

_SHOWN = ("seed", "steps", "cfg", "sampler", "scheduler", "denoise", "checkpoint", "diffusion_model", "lora")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one answer may hold: ``inline_bytes`` of pictures before base64 (0: none), and how to link to the rest."""

    inline_bytes: int
    link: Callable[[Asset], str | None]


def text_result(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


def error_result(failure: WorkbenchError) -> CallToolResult:
    """An error that a model can act on. It starts with "Error:" because some chats ignore the flag beside it."""
    return CallToolResult(content=[TextContent(text=f"Error: {failure}")], is_error=True)


async def job_result(workbench: Workbench, job: Job, budget: Budget) -> CallToolResult:
    """The answer for a job in any state: pictures when it succeeded, and otherwise what to do next."""
    if job.state is not JobState.SUCCEEDED:
        failed = job.state in (JobState.FAILED, JobState.EXPIRED)
        return CallToolResult(content=[TextContent(text=_unfinished(workbench, job))], is_error=failed)
    inline = await _inline(workbench, job, budget)
    lines = [describe_job(job)]
    lines += [f"{output.value}" for output in job.outputs if output.kind == "text"]
    lines += [f"Note: {warning}" for warning in job.warnings]
    links = [link for asset in job.assets if (link := budget.link(asset))]
    lines += [f"Full size: {link}" for link in links]
    if len(inline) < len(job.assets):
        lines.append(f"{len(job.assets) - len(inline)} of {len(job.assets)} files are not shown here.")
    content: list[ContentBlock] = [TextContent(text="\n".join(lines)), *inline]
    return CallToolResult(content=content)


def describe_job(job: Job) -> str:
    """Size, the values that made it, style and ids, in two lines."""
    facts = [_size(job)] + [f"{name} {job.values[name]}" for name in _SHOWN if job.values.get(name) not in (None, "")]
    if job.style:
        facts.append(f"style {job.style}")
    return f"{job.template}: " + ", ".join(fact for fact in facts if fact) + f"\njob {job.id}"


def job_status(job: Job) -> str:
    """How far a job is, in a few words."""
    match job.state:
        case JobState.QUEUED if job.place is not None:
            ahead = f"{job.place.position} before it" if job.place.position else "next"
            when = "" if job.place.starts_in is None else f", in about {_span(job.place.starts_in)}"
            return f"queued, {ahead}{when}"
        case JobState.RUNNING:
            step = f", step {job.progress.value} of {job.progress.maximum}" if job.progress.maximum > 1 else ""
            return f"{job.progress.fraction:.0%} done{step}"
        case JobState.FAILED | JobState.EXPIRED if job.error is not None:
            return f"{job.state}, {job.error.message}"
        case _:
            return str(job.state)


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def _size(job: Job) -> str:
    count = len(job.assets)
    if not count:
        return "no file came out"
    first = job.assets[0]
    size = f"{first.width}×{first.height}" if first.width else first.mime
    return size if count == 1 else f"{count} files, {size}"


def _unfinished(workbench: Workbench, job: Job) -> str:
    again = f'Call get_result with job_id "{job.id}" to wait for it, or cancel_job to stop it.'
    match job.state:
        case JobState.QUEUED:
            why = workbench.pool.standstill
            return f"{job.template}: {job_status(job)}. {why + ' ' if why else ''}{again}\njob {job.id}"
        case JobState.RUNNING:
            return f"{job.template}: {job_status(job)}. {again}\njob {job.id}"
        case JobState.CANCELLED:
            return f"{job.template}: cancelled.\njob {job.id}"
        case _:
            return f"Error: {job.error or InternalError().record}\njob {job.id}"


async def _inline(workbench: Workbench, job: Job, budget: Budget) -> list[ImageContent]:
    """The pictures that fit: the budget is shared evenly, so that four pictures are four smaller ones."""
    pictures = [asset for asset in job.assets if asset.mime.startswith("image/")]
    if not pictures or budget.inline_bytes <= 0:
        return []
    share = max(budget.inline_bytes // len(pictures), min(budget.inline_bytes, 20_000))
    shown: list[ImageContent] = []
    for asset in pictures[: budget.inline_bytes // share]:
        try:
            fitted = await images.fit(await workbench.read(asset), max_bytes=share)
        except WorkbenchError:
            # Too large to be made small, or expired: the link and the count tell of it.
            continue
        data = base64.b64encode(fitted.data).decode("ascii")
        shown.append(ImageContent(data=data, mime_type=fitted.mime))
    return shown
