"""`comfy-workbench templates`: what can be made."""

from __future__ import annotations

import click

from comfy_mcp.cli import shown
from comfy_mcp.settings import load_settings
from comfy_mcp.workflows import Catalogue, describe, shipped_folder

__all__ = ["command"]


@click.command("templates")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with every parameter.")
def command(as_json: bool) -> None:
    """List the templates and styles, and the folders that cannot be used."""
    catalogue = Catalogue.load((shipped_folder(), *load_settings().template_folders))
    if as_json:
        told = {
            "templates": [describe(template, object_info=None) for template in catalogue.templates.values()],
            "styles": {name: style.title for name, style in catalogue.styles.items()},
            "problems": [str(diagnostic) for diagnostic in catalogue.diagnostics],
        }
        click.echo(shown.as_json(told))
        return
    width = max(map(len, catalogue.templates), default=0)
    for name, template in catalogue.templates.items():
        shown.say(shown.in_line(f"{name:{width}}  {template.description}"))
    shown.say("\nstyles: " + ", ".join(map(shown.in_line, catalogue.styles)))
    for diagnostic in catalogue.diagnostics:
        shown.say(f"problem: {diagnostic}", err=True)
