"""The command line. Owns the commands and their words; every command is a thin front door over the workbench.

A command's module is imported when the command is called, so that `stdio` starts as fast as the chat expects.
"""

from __future__ import annotations

import importlib
import logging
import sys
from functools import cache
from typing import Any

import click

import comfy_mcp
from comfy_mcp.errors import BadRequest, SettingsError, TemplateError, WorkbenchError
from comfy_mcp.redaction import Redaction, secrets_of

__all__ = ["main"]

_COMMANDS = {
    "run": "comfy_mcp.cli.run",
    "templates": "comfy_mcp.cli.templates",
    "import": "comfy_mcp.cli.import_workflow",
    "compare": "comfy_mcp.cli.compare",
    "llm": "comfy_mcp.cli.llm",
    "jobs": "comfy_mcp.cli.jobs",
    "backends": "comfy_mcp.cli.backends",
    "serve": "comfy_mcp.cli.serve",
    "token": "comfy_mcp.cli.token",
    "stdio": "comfy_mcp.cli.stdio",
    "engine": "comfy_mcp.cli.engine",
    "install-nodes": "comfy_mcp.cli.install_nodes",
    "demo": "comfy_mcp.cli.demo",
    "doctor": "comfy_mcp.cli.doctor",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkbenchError as failure:
            # Imported late for the same reason as the commands.
            importlib.import_module("comfy_mcp.cli.shown").say(f"error: {failure}", err=True)
            sys.exit(2 if isinstance(failure, BadRequest | TemplateError) else 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(comfy_mcp.__version__, prog_name="comfy-workbench")
def main() -> None:
    """Call your own ComfyUI workflows from any chat, or from here."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Redaction(_secrets))


@cache
def _secrets() -> tuple[str, ...]:
    """Read when the first line is logged: reading settings takes longer than a chat waits for `stdio`."""
    try:
        return secrets_of(importlib.import_module("comfy_mcp.settings").load_settings())
    except SettingsError:
        return ()
