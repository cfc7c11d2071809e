"""`comfy-workbench llm`: the language models on this machine, without the workbench's queue.

These commands ask the servers themselves, in the bridge's own queue: they are for looking, trying and measuring.
"""

from __future__ import annotations

import click

from comfy_mcp.cli.llm.bench import bench
from comfy_mcp.cli.llm.chat import chat
from comfy_mcp.cli.llm.listing import models, scan_command

__all__ = ["command"]


@click.group("llm")
def command() -> None:
    """Find LLM servers, list their models, chat with one, measure them."""


for each in (scan_command, models, chat, bench):
    command.add_command(each)
