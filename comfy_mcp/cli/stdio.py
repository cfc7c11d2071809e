"""`comfy-workbench stdio`: one chat over standard input and output."""

from __future__ import annotations

import anyio
import click
from starlette.requests import Request

from comfy_mcp.jobs import Asset
from comfy_mcp.server import create_server, serve_stdio
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.tools import toolbox
from comfy_mcp.workbench import Workbench

__all__ = ["command"]


@click.command("stdio")
def command() -> None:
    """Serve one chat over standard input and output, as Claude Desktop, LM Studio and Jan start it."""
    anyio.run(_serve, load_settings())


async def _serve(settings: Settings) -> None:
    async with Workbench.open(settings) as workbench:
        await serve_stdio(create_server(toolbox(workbench), _no_link))


def _no_link(asset: Asset, request: Request | None) -> None:
    """Nothing listens, so no link would work."""
    return
