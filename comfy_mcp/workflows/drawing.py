"""A graph as SVG: its nodes with what can be set in them, and the links between; and the same told as a list.

Owns the drawing, in classes and presentation attributes alone: colours are the style sheet's. Texts come from
strangers and are escaped, shortened, and freed of what cannot be seen. Pure; used by the page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.graph import is_link
from comfy_mcp.workflows.layout import MOST_LINKS, MOST_NODES, Link, Placed, laid_out

__all__ = ["Told", "drawn", "sketched", "told_nodes"]

_HEAD, _LINE, _PAD = 48.0, 17.0, 8.0
_INSET, _MARGIN = 12.0, 10.0
_SIZES = {"title": 7.4, "kind": 6.4, "line": 6.6}
"""Pixels that a letter is wide, about; one of Chinese or Japanese is twice that."""

_MOST_LINES, _MOST_SKETCHES = 12, 128
_WIDE_FROM = "\u1100"


@dataclass(frozen=True, slots=True)
class Told:
    """A node in words. ``sources`` are (input, title of the node it comes from, id of that node); ``more`` links are
    not told."""

    node: str
    title: str
    kind: str
    sources: tuple[tuple[str, str, str], ...]
    more: int = 0


def drawn(
    graph: Graph, *, label: str, marks: Mapping[str, Sequence[str]] | None = None, bad: Collection[str] = ()
) -> str | None:
    """The graph as an SVG element that a screen reader calls ``label``; None for one that is too large to read.

    ``marks`` are lines of text in the boxes of these nodes, which stand out; ``bad`` nodes are shown as broken.
    """
    if not _is_readable(graph):
        return None
    lines = {node: _few(list((marks or {}).get(node, ()))) for node in graph}
    heights = {node: _HEAD + (_LINE * len(told) + _PAD if told else 0.0) for node, told in lines.items()}
    placed = laid_out(heights, _links(graph))
    boxes = [_box(graph, node, placed, heights[node], lines[node], node in bad) for node in graph]
    told = escape(_seen(label), quote=True)
    return _svg(placed, f'class="graph" role="img" aria-label="{told}"', [*_paths(placed), *boxes], sized=True)


def sketched(graph: Graph) -> str | None:
    """The graph as a small picture without words, to tell it from others; decoration for a screen reader."""
    return _sketch(tuple(graph), tuple(_links(graph))) if _is_readable(graph) else None


@lru_cache(_MOST_SKETCHES)
def _sketch(nodes: Sequence[str], links: Sequence[Link]) -> str:
    """Kept by what it shows: a list of templates is looked at more often than any of them changes."""
    placed = laid_out(dict.fromkeys(nodes, _HEAD), links)
    boxes = [_rect(placed, node, _HEAD, "node") for node in nodes]
    return _svg(placed, 'class="graph sketch" aria-hidden="true" focusable="false"', [*_paths(placed), *boxes])


def told_nodes(graph: Graph) -> list[Told]:
    """Every node in words, in the order of the graph; of the links as many as are drawn at most."""
    titles = {node: _title(content) for node, content in graph.items()}
    told: list[Told] = []
    left = MOST_LINKS
    for node, content in graph.items():
        linked = [(name, value[0]) for name, value in content["inputs"].items() if is_link(value) and value]
        found = [(name, source) for name, source in linked if source in graph]
        sources = tuple((_seen(name), titles[source], _seen(source)) for name, source in found[:left])
        left -= len(sources)
        kind = _seen(str(content["class_type"]))
        told.append(Told(_seen(node), titles[node], kind, sources, len(found) - len(sources)))
    return told


def _is_readable(graph: Graph) -> bool:
    links = (value for content in graph.values() for value in content["inputs"].values() if is_link(value))
    return len(graph) <= MOST_NODES and sum(1 for _ in links) <= MOST_LINKS


def _links(graph: Graph) -> list[Link]:
    found: list[Link] = []
    for node, content in graph.items():
        linked = [value for value in content["inputs"].values() if is_link(value)]
        found += [Link(str(value[0]), int(value[1]), node, place) for place, value in enumerate(linked)]
    return found


def _svg(placed: Placed, told: str, parts: Sequence[str], *, sized: bool = False) -> str:
    width, height = placed.width + 2 * _MARGIN, placed.height + 2 * _MARGIN
    size = f' width="{width:.0f}" height="{height:.0f}"' if sized else ""
    view = f"{-_MARGIN:.0f} {-_MARGIN:.0f} {width:.0f} {height:.0f}"
    return f'<svg {told} viewBox="{view}"{size}>{"".join(parts)}</svg>'


def _paths(placed: Placed) -> list[str]:
    return [f'<path class="link" fill="none" d="{_curve(way)}"/>' for way in placed.ways]


def _curve(way: Sequence[tuple[float, float]]) -> str:
    (x, y), told = way[0], f"M{way[0][0]:.0f} {way[0][1]:.0f}"
    for to_x, to_y in way[1:]:
        # Also for one that goes back, as in a circle: it leaves to the right and comes in from the left.
        reach = max(abs(to_x - x) / 2, 24.0)
        told += f"C{x + reach:.0f} {y:.0f} {to_x - reach:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
        x, y = to_x, to_y
    return told


def _box(graph: Graph, node: str, placed: Placed, height: float, lines: Sequence[str], is_bad: bool) -> str:
    x, y = placed.nodes[node]
    kinds = f"node{' bound' if lines else ''}{' bad' if is_bad else ''}"
    title, kind = _title(graph[node]), _seen(str(graph[node]["class_type"]))
    room = placed.node_width - 2 * _INSET
    parts = [
        f"<title>{escape(f'{title} ({kind}, {_seen(node)})')}</title>",
        _rect(placed, node, height, kinds),
        _text("title", x + _INSET, y + 20, f"{'⚠ ' if is_bad else ''}{title}", room),
        _text("kind", x + _INSET, y + 37, kind if kind != title else f"#{_seen(node)}", room),
    ]
    for place, line in enumerate(lines):
        parts.append(_text("line", x + _INSET, y + _HEAD + 11 + place * _LINE, _seen(line), room))
    return f"<g>{''.join(parts)}</g>"


def _rect(placed: Placed, node: str, height: float, kinds: str) -> str:
    x, y = placed.nodes[node]
    return (
        f'<rect class="{kinds}" x="{x:.0f}" y="{y:.0f}" width="{placed.node_width:.0f}" height="{height:.0f}" rx="8"/>'
    )


def _text(kind: str, x: float, y: float, told: str, room: float) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(_shortened(told, room / _SIZES[kind]))}</text>'


def _shortened(told: str, letters: float) -> str:
    used = 0.0
    for place, letter in enumerate(told):
        used += 2 if letter >= _WIDE_FROM else 1
        if used > letters:
            return told[: max(0, place - 1)] + "…"
    return told


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"+{len(lines) - _MOST_LINES + 1}"]


def _title(content: Mapping[str, Any]) -> str:
    meta: Any = content.get("_meta")
    title: Any = meta.get("title") if isinstance(meta, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return _seen(title) if isinstance(title, str) and title.strip() else _seen(str(content["class_type"]))


def _seen(text: str) -> str:
    """The text in one line of at most 200 letters, without marks that turn around or hide what is beside them."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:200]).strip()
