"""Templates as this section shows them: cards with a sketch, and graphs with the words for who cannot see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from anyio import to_thread
from markupsafe import Markup

from comfy_mcp.jobs import Graph
from comfy_mcp.workbench.authoring import Authoring
from comfy_mcp.workbench.shelving import preview_changed
from comfy_mcp.workflows import Catalogue, Lack, ObjectInfo, Parameter, Template, Told, drawn, sketched, told_nodes

__all__ = ["Card", "Drawing", "cards_of", "drawing_of", "marks_of"]

Marks = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Card:
    """``lacks`` is None when no ComfyUI ever told what it has."""

    template: Template
    sketch: Markup | None
    has_preview: bool
    lacks: Sequence[Lack] | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """``svg`` is None for a graph that is too large to draw; ``nodes`` tell the same in words."""

    svg: Markup | None
    nodes: Sequence[Told]
    marks: Marks


async def cards_of(catalogue: Catalogue, authoring: Authoring, infos: Sequence[ObjectInfo]) -> list[Card]:
    """A card for every template: a person's own first."""
    found = sorted(catalogue.templates.values(), key=lambda each: each.shipped)
    return [
        Card(template, *await to_thread.run_sync(_pictures, template), await authoring.lacks(template, infos))
        if infos
        else Card(template, *await to_thread.run_sync(_pictures, template), None)
        for template in found
    ]


def _pictures(template: Template) -> tuple[Markup | None, bool]:
    svg = sketched(template.graph)
    # It is made of our own words and numbers alone.
    return None if svg is None else Markup(svg), preview_changed(template.folder) is not None


async def drawing_of(graph: Graph, label: str, marks: Marks, bad: Collection[str] = ()) -> Drawing:
    """The drawing of a graph, and its words."""
    svg = await to_thread.run_sync(partial(drawn, graph, label=label, marks=marks, bad=bad))
    # Every text in it is escaped where it is drawn.
    return Drawing(None if svg is None else Markup(svg), await to_thread.run_sync(told_nodes, graph), marks)


def marks_of(parameters: Mapping[str, Parameter]) -> Marks:
    """The names of the parameters by the node that they set something in."""
    marks: dict[str, list[str]] = {}
    for name, told in parameters.items():
        for bind in told.bind:
            names = marks.setdefault(bind.node, [])
            if name not in names:
                names.append(name)
    return marks
