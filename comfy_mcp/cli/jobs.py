"""`comfy-workbench jobs`: the queue as a table that keeps up with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from comfy_mcp.cli.shown import cell, in_line
from comfy_mcp.content import job_status
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.settings import load_settings
from comfy_mcp.workbench import Workbench

__all__ = ["command"]

_REFRESH_SECONDS = 0.5
_COLUMNS = (
    ("job", 8, None),
    ("template", None, 2),
    ("state", None, 5),
    ("", 8, None),
    ("model", None, 2),
    ("backend", None, 1),
    ("age", 6, None),
)
"""Heading, fixed width and share of what is left."""
_STYLE = {JobState.RUNNING: "cyan", JobState.SUCCEEDED: "green", JobState.FAILED: "red", JobState.EXPIRED: "red"}


@click.command("jobs")
@click.option("--once", is_flag=True, help="Print the table once; so it is when the output is no terminal.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Most jobs to show.")
def command(once: bool, limit: int) -> None:
    """Show what runs, what waits and for how long, and what ended last. Ctrl-C ends it, and touches no job."""
    try:
        anyio.run(_show, once or not sys.stdout.isatty(), limit)
    except KeyboardInterrupt:
        return


async def _show(once: bool, limit: int) -> None:
    async with Workbench.open(load_settings(), dispatch=False) as workbench:
        if once:
            Console(width=None if sys.stdout.isatty() else 160).print(_table(await _jobs(workbench, limit)))
            return
        with Live(_table(await _jobs(workbench, limit)), refresh_per_second=4) as live:
            while True:
                await anyio.sleep(_REFRESH_SECONDS)
                live.update(_table(await _jobs(workbench, limit)))


async def _jobs(workbench: Workbench, limit: int) -> Sequence[Job]:
    """What runs and waits first; what ended last fills the rest."""
    active = await workbench.active(limit=limit)
    ended = [job for job in await workbench.jobs(limit=limit, cells=False) if job.state.terminal]
    return [*active, *ended][:limit]


def _table(jobs: Sequence[Job]) -> Table:
    table = Table(expand=True, box=box.SIMPLE, title=None if jobs else "The queue is empty.")
    for heading, width, share in _COLUMNS:
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=width, ratio=share)
    for job in jobs:
        table.add_row(
            job.id[:8],
            cell(in_line(job.template)),
            cell(in_line(job_status(job)), _STYLE.get(job.state, "")),
            ProgressBar(total=1.0, completed=job.progress.fraction, width=8) if job.state is JobState.RUNNING else "",
            cell(in_line(job.model)),
            cell(in_line(job.backend or "")),
            _age(job),
        )
    return table


def _age(job: Job) -> str:
    seconds = int(((job.finished or datetime.now(UTC)) - job.created).total_seconds())
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
