"""A ComfyUI graph in API format: reading it strictly, its links, and whether they go round in a circle.

Owns what a well-formed graph is. Knows neither manifests nor what a ComfyUI offers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeGuard, cast

from comfy_mcp.errors import BadRequest, TemplateError
from comfy_mcp.jobs import Graph
from comfy_mcp.strict_json import read_json

__all__ = [
    "LEAST_INTEGER",
    "MOST_GRAPH_BYTES",
    "MOST_INTEGER",
    "circle_in",
    "graph_in",
    "is_link",
    "links_in",
    "read_graph",
]

MOST_GRAPH_BYTES = 4 << 20
MOST_INTEGER, LEAST_INTEGER = 2**64 - 1, -(2**63)
_MOST_NODES = 2_000
_KEPT = ("inputs", "class_type", "_meta")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_AS_API = "Export it from ComfyUI in API format."


def read_graph(data: bytes) -> Graph:
    """An API-format graph from a file. Keys that only ComfyUI writes (`is_changed`) are left out: sent back, they
    would be believed.

    Raises:
        TemplateError: not strict JSON, not API format, too large, a link to nowhere, or a circle.
    """
    if len(data) > MOST_GRAPH_BYTES:
        raise TemplateError("workflow.json is larger than 4 MiB.", hint="Export it in API format, without pictures.")
    try:
        told = read_json(data)
    except BadRequest as failure:
        raise TemplateError(f"workflow.json: {failure.message}", hint="Export it from ComfyUI again.") from None
    return graph_in(told, "workflow.json")


def graph_in(told: object, what: str) -> Graph:
    """The graph in JSON that was read strictly; ``what`` is what a refusal calls it. Raises TemplateError as
    `read_graph` does."""
    if isinstance(told, dict) and isinstance(cast(dict[str, Any], told).get("nodes"), list):
        raise TemplateError(
            f"{what} is in the format of the canvas.", hint="Run comfy-workbench import on it, or export as API."
        )
    if not isinstance(told, dict) or not told:
        raise TemplateError(f"{what} holds no graph.", hint=_AS_API)
    nodes = cast(dict[str, Any], told)
    if len(nodes) > _MOST_NODES:
        raise TemplateError(f"The graph has more than {_MOST_NODES} nodes.", hint="Split the workflow.")
    graph = {node: _node(node, content) for node, content in nodes.items()}
    for node, name, (source, _) in links_in(graph):
        if source not in graph:
            raise TemplateError(f"Node {node}, input {name}: there is no node {source[:64]}.", hint="Export it again.")
    if circle := circle_in(graph):
        raise TemplateError(f"The nodes {', '.join(circle)} feed each other in a circle.", hint="Mend it in ComfyUI.")
    return graph


def _node(node: str, content: object) -> dict[str, Any]:
    entry = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    class_type, inputs = entry.get("class_type"), entry.get("inputs")
    if not isinstance(class_type, str) or not isinstance(inputs, dict):
        raise TemplateError(f"Node {node[:64]!r} has no class_type and inputs.", hint=_AS_API)
    if not _NAME.fullmatch(node) or not _NAME.fullmatch(class_type):
        raise TemplateError(f"Node {node[:64]!r} has no usable id or class.", hint=_AS_API)
    for name, value in cast(dict[str, Any], inputs).items():
        if not _sendable(value):
            raise TemplateError(
                f"Node {node}, input {name}: a number of more than 64 bits.", hint="Give a smaller one in ComfyUI."
            )
    return {key: entry[key] for key in _KEPT if key in entry}


def _sendable(value: Any) -> bool:
    """ComfyUI takes what fits into 64 bits. The depth is bounded: the reader of JSON saw to it."""
    if isinstance(value, int):
        return LEAST_INTEGER <= value <= MOST_INTEGER
    if isinstance(value, dict):
        return all(map(_sendable, cast(dict[str, Any], value).values()))
    return all(map(_sendable, cast(list[Any], value))) if isinstance(value, list) else True


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Whether an input comes from another node: `[node id, output slot]`. ComfyUI takes every list for one."""
    return isinstance(value, list)


def links_in(graph: Graph) -> Iterator[tuple[str, str, tuple[str, int]]]:
    """Every link as (node, input, (source node, slot)). Raises TemplateError for a broken one."""
    for node, content in graph.items():
        for name, value in content["inputs"].items():
            if is_link(value):
                source, slot = value if len(value) == 2 else (None, None)
                if not isinstance(source, str) or not isinstance(slot, int) or isinstance(slot, bool) or slot < 0:
                    raise TemplateError(f"Node {node}, input {name}: a broken link.", hint="Export it again.")
                yield node, name, (source, slot)


def circle_in(graph: Graph) -> list[str]:
    """Nodes that feed each other, empty when there are none. Without recursion: a stranger's graph may be deep."""
    sources: dict[str, list[str]] = {node: [] for node in graph}
    for node, _, (source, _) in links_in(graph):
        sources[node].append(source)
    finished: set[str] = set()
    for start in graph:
        path: dict[str, Iterator[str]] = {} if start in finished else {start: iter(sources[start])}
        while path:
            node, rest = next(reversed(path.items()))
            source = next(rest, None)
            if source is None:
                finished.add(node)
                del path[node]
            elif source in path:
                return list(path)[list(path).index(source) :]
            elif source not in finished:
                path[source] = iter(sources.get(source, ()))
    return []
