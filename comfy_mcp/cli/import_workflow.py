"""`comfy-workbench import`: an exported workflow, or a picture that carries one, becomes a template."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from comfy_mcp.backends import ComfyUIBackend
from comfy_mcp.cli.shown import in_line, say
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.workflows import Imported, import_workflow, write_template

__all__ = ["command"]


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "name", help="Id of the template; default: the name of the file.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Folder of templates to put it into.")
@click.option("--overwrite", is_flag=True, help="Replace a template of the same id.")
def command(file: Path, name: str | None, into: Path | None, overwrite: bool) -> None:
    """Make a template from FILE: API-format or UI-format JSON, or a PNG or WebP that ComfyUI saved."""
    settings = load_settings()
    imported = anyio.run(_import, settings, file, name or file.stem)
    folder = write_template(imported, into or settings.template_folders[0], overwrite=overwrite)
    say(f"{imported.id}: {len(imported.manifest.parameters)} parameters in {folder}")
    for parameter, told in imported.manifest.parameters.items():
        say(in_line(f"  {parameter} ({told.type}): {told.label or ''}"))
    for warning in imported.warnings:
        say(in_line(f"note: {warning}"), err=True)
    click.echo(f"Trim manifest.toml to taste, then: comfy-workbench run {imported.id} --set prompt=…")


async def _import(settings: Settings, file: Path, name: str) -> Imported:
    async with ComfyUIBackend.open(str(settings.all_backends[0].url)) as backend:
        info = await backend.object_info()
        return import_workflow(await anyio.Path(file).read_bytes(), name=name, object_info=info)
