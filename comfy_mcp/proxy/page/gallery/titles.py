"""What the templates of pictures are called, for people. Used by every page of the gallery."""

from __future__ import annotations

from comfy_mcp.jobs import GRAPH
from comfy_mcp.ui import Words
from comfy_mcp.workbench import Workbench

__all__ = ["title_of", "titles_of"]


def titles_of(workbench: Workbench, words: Words) -> dict[str, str]:
    """The title of every template there is now, by its id, in the reader's language where it is ours."""
    titles = {name: words(template.title) for name, template in workbench.catalogue.templates.items()}
    return {**titles, GRAPH: words("Workflow of one's own")}


def title_of(template: str, workbench: Workbench, words: Words) -> str:
    """As `titles_of`, of one; its id when it is not there any more."""
    return titles_of(workbench, words).get(template, template)
