"""Turns jobs and errors into what a chat receives: a short text first, then the pictures within the byte budget.

Owns the wording and the shape of answers, so that every tool speaks alike. Knows MCP's content types, not its server.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from comfy_mcp import images
from comfy_mcp.errors import InternalError, WorkbenchError
from comfy_mcp.jobs import Asset, Job, JobState

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = [
    "Budget",
    "asset_uri",
    "describe_job",
    "error_result",
    "job_data",
    "job_result",
    "job_status",
    "picture_blocks",
    "text_result",
]

_SHOWN = ("model", "seed", "steps", "cfg", "sampler", "scheduler", "denoise", "checkpoint", "diffusion_model", "lora")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one answer may hold, and how to link to the rest.

    ``form`` links to what a person can change about a job. ``picture_bytes`` is for one picture and ``answer_bytes``
    for all, before base64 (0: none); ``side`` is the longer side in pixels. ``blocks``: the originals are linked as
    blocks of their own too. ``structured``: the answer holds the job as data as well, for those who draw it themselves.
    """

    link: Callable[[Asset], str | None]
    form: Callable[[Job], str | None]
    picture_bytes: int = 150_000
    answer_bytes: int = 700_000
    side: int | None = None
    formats: tuple[str, ...] = ("image/webp", "image/jpeg")
    blocks: bool = False
    structured: bool = False


def text_result(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


def error_result(failure: WorkbenchError) -> CallToolResult:
    """An error that a model can act on. It starts with "Error:" because some chats ignore the flag beside it."""
    return CallToolResult(content=[TextContent(text=f"Error: {failure}")], is_error=True)


async def job_result(workbench: Workbench, job: Job, budget: Budget) -> CallToolResult:
    """The answer for a job in any state: pictures when it succeeded, and otherwise what to do next."""
    if job.state is not JobState.SUCCEEDED:
        failed = job.state in (JobState.FAILED, JobState.EXPIRED)
        content: list[ContentBlock] = [TextContent(text=_unfinished(workbench, job))]
        return CallToolResult(content=content, is_error=failed, structured_content=_structured(job, budget))
    inline = await picture_blocks(workbench, job.assets, budget)
    lines = [describe_job(job)]
    lines += [f"{output.value}" for output in job.outputs if output.kind == "text"]
    lines += [f"Note: {warning}" for warning in job.warnings]
    links = [link for asset in job.assets if (link := budget.link(asset))]
    lines += [f"Full size: {link}" for link in links]
    if form := budget.form(job):
        lines.append(f"Change it in a form: {form}")
    if len(inline) < len(job.assets):
        lines.append(f"{len(job.assets) - len(inline)} of {len(job.assets)} files are not shown here.")
    content = [TextContent(text="\n".join(lines)), *inline]
    if budget.blocks:
        content += [
            ResourceLink(uri=asset_uri(asset), name=asset.name, mime_type=asset.mime, size=asset.size)
            for asset in job.assets
        ]
    return CallToolResult(content=content, structured_content=_structured(job, budget))


def asset_uri(asset: Asset) -> str:
    """The address of a picture as a resource."""
    return f"asset://{asset.id}"


def job_data(job: Job) -> dict[str, Any]:
    """A job as plain data, for resources and for apps."""
    return {
        "id": job.id,
        "template": job.template,
        "state": str(job.state),
        "values": job.values,
        "style": job.style,
        "progress": {
            "fraction": round(job.progress.fraction, 4),
            "value": job.progress.value,
            "maximum": job.progress.maximum,
            "text": job_status(job),
        },
        "error": None if job.error is None else asdict(job.error),
        "warnings": list(job.warnings),
        "pictures": [
            {"id": asset.id, "mime": asset.mime, "width": asset.width, "height": asset.height} for asset in job.assets
        ],
    }


def _structured(job: Job, budget: Budget) -> dict[str, Any] | None:
    return {"view": "result", "job": job_data(job)} if budget.structured else None


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
        return "" if any(output.kind == "text" for output in job.outputs) else "no file came out"
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


async def picture_blocks(workbench: Workbench, assets: Sequence[Asset], budget: Budget) -> list[ImageContent]:
    """The pictures that fit: the budget is shared evenly, so that eight pictures are eight smaller ones."""
    pictures = [asset for asset in assets if asset.mime.startswith("image/")]
    if not pictures or budget.answer_bytes <= 0:
        return []
    share = max(min(budget.picture_bytes, budget.answer_bytes // len(pictures)), min(budget.answer_bytes, 20_000))
    shown: list[ImageContent] = []
    for asset in pictures[: budget.answer_bytes // share]:
        try:
            fitted = await images.fit(
                await workbench.read(asset), max_bytes=share, max_side=budget.side, mime_preference=budget.formats
            )
        except WorkbenchError:
            # Too large to be made small, or expired: the link and the count tell of it.
            continue
        data = await to_thread.run_sync(base64.b64encode, fitted.data)
        shown.append(ImageContent(data=data.decode("ascii"), mime_type=fitted.mime))
    return shown
