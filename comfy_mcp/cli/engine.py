"""`comfy-workbench engine`: the embedded engine as a ComfyUI to try things with."""

from __future__ import annotations

import anyio
import click

from comfy_mcp.embedded import serve_engine

__all__ = ["command"]


@click.command("engine")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address to listen on.")
@click.option("--port", default=8189, show_default=True, help="Port to listen on; 0 takes a free one.")
def command(host: str, port: int) -> None:
    """Serve ComfyUI's protocol without a graphics card; pictures are procedural previews, not diffusion."""
    anyio.run(lambda: serve_engine(host, port, ready=lambda url: click.echo(f"listening on {url}")))
