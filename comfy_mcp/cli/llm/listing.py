"""`llm scan` and `llm models`: what runs, and what it offers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import anyio
import click
from rich import box
from rich.console import Console
from rich.table import Table

from comfy_mcp.cli import shown
from comfy_mcp.cli.llm.servers import opened
from llm_bridge.errors import BridgeError
from llm_bridge.providers import Model
from llm_bridge.scan import Found, scan

__all__ = ["models", "scan_command"]

_WIDTH = 160


@click.command("scan")
@click.option("--host", "hosts", multiple=True, help="Another machine to look at; default: this one.")
@click.option("--port", "ports", multiple=True, type=click.IntRange(1, 65535), help="Default: where they usually are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def scan_command(hosts: tuple[str, ...], ports: tuple[int, ...], as_json: bool) -> None:
    """Find the LLM servers that run, and say how to set them up."""
    found = anyio.run(lambda: scan(ports or None, hosts or ("127.0.0.1",)))
    if as_json:
        click.echo(shown.as_json([_server(server) for server in found]))
        return
    if not found:
        click.echo("No LLM server answers. LM Studio and Jan need their server switched on in their settings.")
        return
    table = Table(box=box.SIMPLE)
    for heading in ("name", "server", "address", "models"):
        table.add_column(heading, overflow="fold")
    for server in found:
        name = server.endpoint.name
        names = server.problem or ", ".join(model.id for model in server.models) or "none yet"
        table.add_row(*(shown.cell(shown.in_line(told)) for told in (name, server.title, server.url, names)))
    _console().print(table)
    click.echo(f"To use them: WORKBENCH_LLM_URL={','.join(server.url for server in found)}")


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """List the models of every LLM server, and which are loaded."""
    sys.exit(anyio.run(_models, as_json))


async def _models(as_json: bool) -> int:
    async with opened() as queue:
        told = await queue.models()
    listed = {name: found for name, found in told.items() if not isinstance(found, BridgeError)}
    for name, failure in told.items():
        if isinstance(failure, BridgeError):
            shown.say(f"{name}: {failure}", err=True)
    if as_json:
        click.echo(shown.as_json({name: [_model(model) for model in found] for name, found in listed.items()}))
    else:
        _console().print(_table(listed))
    return 0 if listed else 1


def _table(listed: dict[str, Sequence[Model]]) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in ("model", "state", "size", "context", "can"):
        table.add_column(heading, overflow="fold")
    for server, found in listed.items():
        for model in found:
            size = "" if model.size is None else f"{model.size / 2**30:.1f} GiB"
            can = {"see": model.vision, "tools": model.tools, "think": model.reasoning, "embed": not model.chats}
            able = ", ".join(name for name, is_able in can.items() if is_able)
            window = "" if model.window is None else str(model.window)
            name = shown.cell(shown.in_line(f"{server}/{model.id}"))
            table.add_row(name, model.state or "", size, window, able)
    return table


def _server(server: Found) -> dict[str, Any]:
    return {
        "name": server.endpoint.name,
        "url": server.url,
        "kind": server.kind,
        "problem": server.problem,
        "models": [_model(model) for model in server.models],
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "state": model.state,
        "size": model.size,
        "context": model.context,
        "max_context": model.max_context,
        "vision": model.vision,
        "tools": model.tools,
        "reasoning": model.reasoning,
        "chats": model.chats,
    }


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
