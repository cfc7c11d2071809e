"""`comfy-workbench backends`: where jobs run, and pausing one."""

from __future__ import annotations

import anyio
import click
from rich.console import Console
from rich.table import Table

from comfy_mcp.cli.shown import cell
from comfy_mcp.errors import BackendError
from comfy_mcp.settings import load_settings
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench

__all__ = ["command"]

_MODES = {"pause": Mode.PAUSED, "drain": Mode.DRAINING, "resume": Mode.ACTIVE}
_PROBE_SECONDS = 5.0


@click.command("backends")
@click.argument("order", required=False, type=click.Choice(list(_MODES)))
@click.argument("name", required=False)
def command(order: str | None, name: str | None) -> None:
    """List the backends; or pause NAME (its jobs go on, it gets no new ones), drain it (then its memory is freed), or
    resume it. That holds for every running workbench of the data folder, and until told otherwise."""
    if (order is None) is not (name is None):
        raise click.UsageError("Give both what to do and the name of the backend, or neither.")
    anyio.run(_backends, order, name)


async def _backends(order: str | None, name: str | None) -> None:
    async with Workbench.open(load_settings(), dispatch=False) as workbench:
        if order is not None and name is not None:
            await workbench.set_mode(name, _MODES[order])
        table = Table()
        for heading in ("backend", "mode", "answers", "jobs at a time", "tags", "card"):
            table.add_column(heading)
        for member in await workbench.backends():
            config = member.config
            answers = "yes"
            try:
                with anyio.fail_after(_PROBE_SECONDS):
                    await member.backend.probe()
            except (BackendError, TimeoutError) as failure:
                answers = str(failure) or "not in time"
            tags = ", ".join(sorted(config.tags))
            told = (member.name, member.mode, answers, config.concurrency, tags, config.place)
            table.add_row(*map(cell, told))
        Console(width=160).print(table)
