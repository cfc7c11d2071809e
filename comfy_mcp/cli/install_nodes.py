"""`comfy-workbench install-nodes`: the node pack in a person's ComfyUI, or in a folder to publish it from."""

from __future__ import annotations

from pathlib import Path

import click

from comfy_mcp.node_pack import lay_out, place_in

__all__ = ["command"]


@click.command("install-nodes")
@click.argument("folder", type=click.Path(exists=False, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--pack", is_flag=True, help="Make FOLDER the pack itself, to publish it from there.")
def command(folder: Path, pack: bool) -> None:
    """Install our nodes in the ComfyUI at FOLDER, or update them."""
    laid = lay_out(folder if pack else place_in(folder))
    click.echo(f"{'Updated' if laid.replaced else 'Installed'} {laid.folder} (version {laid.version})")
    if pack:
        click.echo(f'To publish it: cd "{laid.folder}" && comfy node publish')
        return
    requirements = laid.folder / "requirements.txt"
    click.echo("Next:")
    click.echo(f'  1. With the Python that runs ComfyUI: python -m pip install -r "{requirements}"')
    click.echo("  2. Restart ComfyUI. The nodes are under Workbench, examples under Browse Templates.")
