# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# The files are JSON from strangers, read with .get; a type for each shape would say no more.
"""From the canvas to the API format, as the front end does it when a person presses Run (graphToPrompt).

Owns what is emitted and what is refused; every node that cannot be converted is named.
"""

from __future__ import annotations

import re
from typing import Any

from comfy_mcp.errors import ConversionError, MissingNode
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.importer.canvas import Gone, Literal, Node, Output, Scope, root_scope
from comfy_mcp.workflows.importer.widgets import widget_values
from comfy_mcp.workflows.object_info import NodeInfo, ObjectInfo

__all__ = ["convert", "lacking"]

_CHOICE = re.compile(r"(?<!\\)\{[^{}|]*\|[^{}]*\}")
_MOST_NODES = 2_000


def convert(workflow: dict[str, Any], object_info: ObjectInfo) -> tuple[Graph, list[str]]:
    """The API-format graph of a canvas file, and warnings about what is not as in ComfyUI.

    Raises:
        ConversionError: node classes that this ComfyUI does not have, group nodes, or nothing to run.
    """
    root = root_scope(workflow)
    _refuse_unknown(root, object_info)
    warnings: list[str] = []
    graph: Graph = {}
    for scope, node in root.walk():
        info = object_info.node(str(node["type"]))
        graph[scope.id_of(node)] = _emitted(scope, node, info, warnings)
        if len(graph) > _MOST_NODES:
            raise ConversionError(f"The workflow has more than {_MOST_NODES} nodes.", hint="Split it.")
    if not graph:
        raise ConversionError("The workflow has no node that runs.", hint="Unmute what should run, and save it again.")
    for content in graph.values():
        content["inputs"] = {
            name: value for name, value in content["inputs"].items() if not isinstance(value, list) or value[0] in graph
        }
    return graph, warnings


def _refuse_unknown(root: Scope, object_info: ObjectInfo) -> None:
    groups = sorted(
        {kind for _, node in root.walk() if (kind := str(node.get("type"))).startswith(("workflow>", "workflow/"))}
    )
    if groups:
        raise ConversionError(
            f"Group nodes cannot be converted: {', '.join(groups)}.", hint="In ComfyUI turn them into subgraphs."
        )
    unknown = sorted({str(node.get("type")) for _, node in root.walk() if not object_info.has(str(node.get("type")))})
    if unknown:
        raise lacking(unknown)


def lacking(names: list[str]) -> ConversionError:
    """What to say of a workflow whose node classes this ComfyUI lacks, and how to get them."""
    return ConversionError(
        f"This ComfyUI lacks these nodes: {', '.join(names)}.",
        hint=f"{MissingNode.of(names).hint} Or remove what needs it, and import again.",
        nodes=names,
    )


def _emitted(scope: Scope, node: Node, info: NodeInfo, warnings: list[str]) -> dict[str, Any]:
    inputs = widget_values(info, node)
    for (inner, widget), value in scope.proxied().items():
        if inner == str(node.get("id")) and widget in inputs:
            inputs[widget] = value
    for given in node.get("inputs") or []:
        name = str((given.get("widget") or {}).get("name") or given.get("name"))
        match scope.resolve(given.get("link"), str(given.get("type", ""))):
            case Output(source, slot):
                inputs[name] = [source, slot]
            case Literal(value):
                inputs[name] = value
            case Gone():
                inputs.pop(name, None)
            case None:
                pass
    for each in info.inputs:
        text = inputs.get(each.name)
        if each.options.get("dynamicPrompts") and isinstance(text, str) and _CHOICE.search(text):
            # The front end draws at random each time; a template must give the same picture for the same seed.
            warnings.append(
                f"Node {scope.id_of(node)}: {{a|b}} in the text is kept as it is; nothing is drawn from it."
            )
    title = node.get("title") or info.display_name
    return {"inputs": inputs, "class_type": str(node["type"]), "_meta": {"title": str(title)}}
