"""A bound graph against what a ComfyUI offers, before anything is sent to it.

Owns the same rules as ComfyUI's own validation, and those that it lacks: choices of the newer spelling, circles, and
plain values where only a link makes sense. Every refusal names the node, and the parameter that is bound there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from comfy_mcp.errors import InvalidParameter, MissingModel, TemplateError, WorkbenchError, WorkflowRejected, nearest
from comfy_mcp.jobs import BoundWorkflow, Graph
from comfy_mcp.workflows.choices import MODEL_FILES
from comfy_mcp.workflows.graph import circle_in, is_link
from comfy_mcp.workflows.object_info import InputInfo, NodeInfo, ObjectInfo
from comfy_mcp.workflows.paths import is_plain_name, without_annotation

__all__ = ["check"]

_SOCKETS = frozenset(
    [
        *("MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "AUDIO", "VIDEO", "CONTROL_NET", "GLIGEN"),
        *("CLIP_VISION", "CLIP_VISION_OUTPUT", "STYLE_MODEL", "UPSCALE_MODEL", "SAMPLER", "SIGMAS", "NOISE", "GUIDER"),
    ]
)
"""Types that no value can be written for. Types of node packs may have fields of their own in the browser."""


def check(bound: BoundWorkflow, object_info: ObjectInfo) -> None:
    """Refuse what this ComfyUI would refuse. Nodes that no output needs are not looked at, as it does not either.

    Raises:
        MissingNode: classes it does not have.
        MissingModel: a file it does not have.
        InvalidParameter: a value it does not take, where a parameter is bound.
        WorkflowRejected: anything else; the template does not fit this ComfyUI.
    """
    object_info.require(content["class_type"] for content in bound.graph.values())
    nodes = {node: object_info.node(content["class_type"]) for node, content in bound.graph.items()}
    if not any(info.output_node for info in nodes.values()):
        raise WorkflowRejected("The workflow has no output node.", hint="Add a Save Image node in ComfyUI.")
    _refuse_circles(bound.graph)
    uploaded = {place for upload in bound.uploads for place in upload.inputs}
    for node in _needed(bound.graph, nodes):
        given = bound.graph[node]["inputs"]
        for told in nodes[node].unfolded(given):
            seen = _Seen(bound, node, nodes[node], told)
            if told.name not in given:
                if told.required and not told.is_group:
                    raise seen.refused("is missing")
            elif is_link(given[told.name]):
                _check_link(seen, nodes, given[told.name])
            elif (node, told.name) not in uploaded:
                _check_value(seen, given[told.name])


def _refuse_circles(graph: Graph) -> None:
    try:
        circle = circle_in(graph)
    except TemplateError as failure:
        raise WorkflowRejected(failure.message, hint=failure.hint) from failure
    if circle:
        raise WorkflowRejected(f"The nodes {', '.join(circle)} feed each other.", hint="Mend it in ComfyUI.")


def _needed(graph: Graph, nodes: Mapping[str, NodeInfo]) -> list[str]:
    """The nodes that an output needs, in the order of the graph."""
    needed: set[str] = set()
    stack = [node for node, info in nodes.items() if info.output_node]
    while stack:
        node = stack.pop()
        if node in nodes and node not in needed:
            needed.add(node)
            stack += [str(value[0]) for value in graph[node]["inputs"].values() if is_link(value)]
    return [node for node in graph if node in needed]


class _Seen:
    """One input of one node, and how to refuse what is there."""

    def __init__(self, bound: BoundWorkflow, node: str, info: NodeInfo, told: InputInfo) -> None:
        self.told = told
        self.parameter = bound.parameters.get(f"{node}.{told.name}")
        self.where = {"node": node, "node_class": info.name, "input": told.name}
        self.place = f"{info.name} (node {node}): {told.name}"

    def refused(self, reason: str, hint: str = "", **details: Any) -> WorkbenchError:
        if self.parameter is not None:
            told = f"{self.parameter} {reason}."
            return InvalidParameter(self.parameter, told, hint=hint or "Give another value.", **self.where, **details)
        return WorkflowRejected(
            f"{self.place} {reason}.",
            hint=hint or "The workflow does not fit this ComfyUI: open it there, mend it, and import it again.",
            **self.where,
            **details,
        )

    def missing_file(self, value: str, hint: str, alike: list[str]) -> MissingModel:
        return MissingModel(
            f"ComfyUI has no {value[:100]!r} for {self.parameter or self.place}.",
            hint=hint,
            parameter=self.parameter,
            nearest=alike,
            **self.where,
        )


def _check_link(seen: _Seen, nodes: Mapping[str, NodeInfo], link: list[Any]) -> None:
    source, slot = cast(tuple[str, int], tuple(link))
    if source not in nodes:
        raise seen.refused(f"comes from node {source!r}, which does not exist")
    outputs = nodes[source].outputs
    if slot >= len(outputs):
        raise seen.refused(f"comes from output {slot} of node {source}, which has {len(outputs)}")
    if not _compatible(outputs[slot], seen.told.type):
        raise seen.refused(f"takes {seen.told.type}, not {outputs[slot]}")


def _compatible(given: str, taken: str) -> bool:
    return "*" in (given, taken) or bool(_union(given) & _union(taken))


def _union(kinds: str) -> set[str]:
    return {kind.strip() for kind in kinds.split(",")}


def _check_value(seen: _Seen, value: Any) -> None:
    kind = seen.told.type
    if kind in ("INT", "FLOAT"):
        _check_number(seen, value)
    elif kind == "COMBO":
        _check_choices(seen, value)
    elif kind in _SOCKETS:
        raise seen.refused(f"must come from another node, as {kind}")
    elif kind in ("STRING", "BOOLEAN") and value is None:
        raise seen.refused("is empty")


def _check_number(seen: _Seen, value: Any) -> None:
    """Texts that are numbers pass, since ComfyUI turns them into numbers."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise seen.refused(f"is {str(value)[:40]!r}, not a number") from None
    low, high = seen.told.min, seen.told.max
    # Compared as it came: a float would round a seed of 64 bits up and over its limit.
    exact = value if isinstance(value, int) else number
    if not ((low is None or exact >= low) and (high is None or exact <= high)):
        takes = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise seen.refused(f"{str(value)[:40]} is out of range", f"Give {takes}." if seen.parameter else "")


def _check_choices(seen: _Seen, value: Any) -> None:
    wrapped = cast(dict[str, Any], value).get("__value__") if isinstance(value, dict) else value
    for each in cast(list[Any], wrapped) if isinstance(wrapped, list) else [wrapped]:
        _check_choice(seen, each)


def _check_choice(seen: _Seen, value: Any) -> None:
    options = seen.told.options
    if seen.told.takes_upload:
        # Ours are uploaded. What the template names itself must at least not leave ComfyUI's own folders, one of
        # which it may choose; a person may not.
        own = isinstance(value, str) and seen.parameter is None
        if not isinstance(value, str) or not is_plain_name(without_annotation(value) if own else value):
            raise seen.refused("is not a plain file name")
        return
    choices = seen.told.choices
    # The choices of a remote list are known to the browser alone.
    if choices is None or options.get("remote") or value in choices:
        return
    known = [str(choice) for choice in choices]
    alike = nearest(str(value)[:100], known) or known[:5]
    if any(str(each).lower().endswith(MODEL_FILES) for each in (value, *known)):
        hint = f"Nearest: {', '.join(alike)}." if alike else "It has none: put a file into its models folder."
        raise seen.missing_file(str(value), hint, alike)
    told = f"Nearest: {', '.join(alike)}." if alike else "It offers none."
    raise seen.refused(f"does not know {str(value)[:100]!r}", told, nearest=alike)
