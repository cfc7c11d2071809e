"""`comfy-workbench doctor`: what works here, and what to do about the rest."""

from __future__ import annotations

import sys

import anyio
import click
from rich.console import Console

from comfy_mcp.cli.shown import cell
from comfy_mcp.doctor import Verdict, examine
from comfy_mcp.settings import Settings, load_settings

__all__ = ["command"]

_STYLE = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.BAD: "bold red"}


@click.command("doctor")
def command() -> None:
    """Check settings, storage, ComfyUI and every template. Exit status 1 when something is broken."""
    if not anyio.run(_examine, load_settings()):
        sys.exit(1)


async def _examine(settings: Settings) -> bool:
    console = Console(highlight=False)
    healthy = True
    async for finding in examine(settings):
        style = _STYLE[finding.verdict]
        told = cell(f" {finding.what}: {finding}")
        console.print(cell(f"{finding.verdict:4}", style) + told)
        healthy = healthy and finding.verdict is not Verdict.BAD
    return healthy
