"""`comfy-workbench engine`: the embedded engine as a ComfyUI to try things with."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from comfy_mcp.embedded import EngineConfig, serve_engine

__all__ = ["command"]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("engine")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address to listen on.")
@click.option("--port", default=8189, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--pack",
    "packs",
    multiple=True,
    type=_FOLDER,
    help="A folder of ComfyUI custom nodes to load; several are allowed.",
)
@click.option("--frontend", type=_FOLDER, help="The folder of ComfyUI's page, when its package is not installed.")
def command(host: str, port: int, packs: tuple[Path, ...], frontend: Path | None) -> None:
    """Serve ComfyUI's protocol without a graphics card; pictures are procedural previews, not diffusion."""
    config = EngineConfig(packs=packs, frontend=frontend)
    anyio.run(lambda: serve_engine(host, port, config=config, ready=lambda url: click.echo(f"listening on {url}")))
