"""`comfy-workbench serve`: every front door over HTTP."""

from __future__ import annotations

import gc
import logging
import signal

import anyio
import click

from comfy_mcp.proxy import listening
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.workbench import Workbench

__all__ = ["command"]


@click.command("serve")
@click.option("--host", help="Address to listen on; any but loopback needs a token.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one. [default: 8190]")
def command(host: str | None, port: int | None) -> None:
    """Serve the page, chats at /mcp and programs at /api/v1, until it is stopped."""
    anyio.run(_serve, load_settings(host=host, port=port))


async def _serve(settings: Settings) -> None:
    logging.getLogger().setLevel(settings.log_level.upper())
    async with Workbench.open(settings) as workbench, listening(workbench) as address:
        # What is loaded now stays: searching it for garbage again and again stops every call for a tenth of a second.
        gc.freeze()
        click.echo(f"chats: {address}/mcp   programs: {address}/api/v1   described at {address}/settings/api")
        click.echo(f"OpenAI: {address}/v1   A1111: {address}")
        click.echo(f"Open it in a browser: {address}")
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
