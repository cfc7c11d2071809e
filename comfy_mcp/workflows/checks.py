"""A bound graph against what a ComfyUI offers, before anything is sent to it.

Owns the same rules as ComfyUI's own validation, and two that it lacks: choices of the newer spelling, and inputs that
are plain values where only a link makes sense. Every refusal names the node, and the parameter that is bound there.
"""

from __future__ import annotations

from typing import Any, cast

from comfy_mcp.errors import InvalidParameter, MissingModel, WorkbenchError, WorkflowRejected, nearest
from comfy_mcp.jobs import BoundWorkflow
from comfy_mcp.workflows.object_info import InputInfo, NodeInfo, ObjectInfo

__all__ = ["check"]

_NUMBERS = ("INT", "FLOAT")
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload", "animated_image_upload")
_PATHS = ("..", "\x00", "[input]", "[output]", "[temp]")


def check(bound: BoundWorkflow, object_info: ObjectInfo) -> None:
    """Refuse what this ComfyUI would refuse.

    Raises:
        MissingNode: a class it does not have.
        MissingModel: a file it does not have.
        InvalidParameter: a value it does not take, where a parameter is bound.
        WorkflowRejected: anything else; the template does not fit this ComfyUI.
    """
    nodes = {node: object_info.node(content["class_type"]) for node, content in bound.graph.items()}
    if not any(info.output_node for info in nodes.values()):
        raise WorkflowRejected("The workflow has no output node.", hint="Add a Save Image node in ComfyUI.")
    uploaded = {place for upload in bound.uploads for place in upload.inputs}
    for node in _needed(bound, nodes):
        info = nodes[node]
        given = bound.graph[node]["inputs"]
        for told in info.inputs:
            if told.name not in given:
                if told.required:
                    raise _refused(bound, node, info, told, "is missing")
            elif isinstance(given[told.name], list):
                _check_link(bound, nodes, node, told)
            elif (node, told.name) not in uploaded:
                _check_value(bound, node, info, told, given[told.name])


def _needed(bound: BoundWorkflow, nodes: dict[str, NodeInfo]) -> list[str]:
    """The nodes that an output needs: ComfyUI looks at no other."""
    needed: dict[str, None] = {}
    stack = [node for node, info in nodes.items() if info.output_node]
    while stack:
        node = stack.pop()
        if node in nodes and node not in needed:
            needed[node] = None
            given = cast(dict[str, Any], bound.graph[node]["inputs"])
            stack += [str(cast(list[Any], value)[0]) for value in given.values() if isinstance(value, list)]
    return list(needed)


def _check_link(bound: BoundWorkflow, nodes: dict[str, NodeInfo], node: str, told: InputInfo) -> None:
    source, slot = cast(tuple[str, int], bound.graph[node]["inputs"][told.name])
    outputs = nodes[source].outputs if source in nodes else ()
    if not 0 <= slot < len(outputs):
        raise _refused(bound, node, nodes[node], told, f"comes from output {slot} of node {source}, which has none")
    if not _compatible(outputs[slot], told.type):
        raise _refused(bound, node, nodes[node], told, f"takes {told.type}, not {outputs[slot]}")


def _compatible(given: str, taken: str) -> bool:
    if "*" in (given, taken) or given == taken:
        return True
    return bool(set(given.split(",")) & set(taken.split(",")))


def _check_value(bound: BoundWorkflow, node: str, info: NodeInfo, told: InputInfo, value: Any) -> None:
    if told.type in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refused(bound, node, info, told, f"is {value!r}, not a number")
        for limit, beyond in ((told.min, "smaller"), (told.max, "larger")):
            if limit is not None and (value < limit if beyond == "smaller" else value > limit):
                raise _refused(bound, node, info, told, f"is {value}, {beyond} than {limit}")
    elif told.type == "COMBO":
        _check_choice(bound, node, info, told, value)
    elif told.type in ("STRING", "BOOLEAN") or told.is_widget:
        return
    else:
        raise _refused(bound, node, info, told, f"must come from another node, as {told.type}")


def _check_choice(bound: BoundWorkflow, node: str, info: NodeInfo, told: InputInfo, value: Any) -> None:
    if any(told.options.get(key) for key in _UPLOADS):
        # A file in ComfyUI's input folder: ours are uploaded, others must at least not leave it.
        if not isinstance(value, str) or value.startswith(("/", "\\")) or any(part in value for part in _PATHS):
            raise _refused(bound, node, info, told, "is not a plain file name")
        return
    if told.choices is None or value in told.choices:
        return
    known = [str(choice) for choice in told.choices]
    alike = nearest(str(value), known) or known[:5]
    parameter = bound.parameters.get(f"{node}.{told.name}")
    where = {"node": node, "node_class": info.name, "input": told.name, "nearest": alike}
    offered = f"Nearest: {', '.join(alike)}." if alike else "It offers none: put a file into its models folder."
    if not known or "." in str(value):
        name = parameter or f"{info.name}.{told.name}"
        raise MissingModel(f"ComfyUI has no {value!r} for {name}.", hint=offered, parameter=parameter, **where)
    raise _refused(bound, node, info, told, f"does not know {value!r}", offered)


def _refused(
    bound: BoundWorkflow, node: str, info: NodeInfo, told: InputInfo, reason: str, hint: str = ""
) -> WorkbenchError:
    parameter = bound.parameters.get(f"{node}.{told.name}")
    where = {"node": node, "node_class": info.name, "input": told.name}
    if parameter is not None:
        return InvalidParameter(parameter, f"{parameter} {reason}.", hint=hint or "Give another value.", **where)
    return WorkflowRejected(
        f"{info.name} (node {node}): {told.name} {reason}.",
        hint=hint or "The workflow does not fit this ComfyUI: open it there, mend it, and import it again.",
        **where,
    )
