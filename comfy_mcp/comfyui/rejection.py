"""Why ComfyUI refused a graph, as our error: which node, which input, which parameter, and what is offered instead.

Owns the reading of the two shapes of `POST /prompt` failures (execution.py, validate_inputs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from comfy_mcp.errors import InvalidParameter, MissingModel, MissingNode, WorkbenchError, WorkflowRejected, nearest
from comfy_mcp.jobs import BoundWorkflow

__all__ = ["rejection"]

_NO_CLASS = re.compile(r"node (?P<name>.+) does not exist")
_MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")


def rejection(told: Mapping[str, Any], bound: BoundWorkflow) -> WorkbenchError:
    """The error for the body of a refused `POST /prompt`; the first node error speaks for all."""
    error = cast(Mapping[str, Any], told.get("error") or {})
    if (found := _NO_CLASS.search(str(error.get("message", "")))) is not None:
        name = found["name"].strip("'\"")
        node = str(error.get("details", "")).rpartition("#")[2].strip("'")
        return MissingNode.of([name], node=node)
    for node, entry in cast(Mapping[str, Any], told.get("node_errors") or {}).items():
        for reason in entry.get("errors", ()):
            return _from_node(node, entry, reason, bound)
    return WorkflowRejected(
        f"ComfyUI refused the workflow: {error.get('message') or 'no reason given'}.",
        hint="Export the workflow again from ComfyUI, in API format.",
    )


def _from_node(node: str, entry: Mapping[str, Any], reason: Mapping[str, Any], bound: BoundWorkflow) -> WorkbenchError:
    extra = cast(Mapping[str, Any], reason.get("extra_info") or {})
    name = str(extra.get("input_name", ""))
    where = {"node": node, "node_class": str(entry.get("class_type", "")), "input": name or None}
    parameter = bound.parameters.get(f"{node}.{name}")
    message = f"{reason.get('message', 'Invalid')}: {reason.get('details', '')}".strip(" :")
    if reason.get("type") == "value_not_in_list":
        return _not_offered(extra, where, parameter)
    if parameter is not None:
        return InvalidParameter(parameter, f"{parameter}: {message}.", hint="Change this value.", **where)
    return WorkflowRejected(
        f"ComfyUI refused {where['node_class']} (node {node}): {message}.",
        hint="The workflow does not fit this ComfyUI: open it there, mend it, and import it again.",
        **where,
    )


def _not_offered(extra: Mapping[str, Any], where: Mapping[str, Any], parameter: str | None) -> WorkbenchError:
    value = str(extra.get("received_value"))
    config = extra.get("input_config")
    listed: object = cast(list[Any], config)[0] if isinstance(config, list) else None
    offered = [str(choice) for choice in cast(list[Any], listed)] if isinstance(listed, list) else []
    alike = nearest(value, offered) or offered[:5]
    hint = f"Nearest: {', '.join(alike)}." if alike else "ComfyUI offers none here."
    name = parameter or where["input"]
    if value.lower().endswith(_MODEL_SUFFIXES) or not offered:
        return MissingModel(
            f"ComfyUI has no file {value!r} for {name}.", hint=hint, parameter=parameter, nearest=alike, **where
        )
    if parameter is not None:
        return InvalidParameter(parameter, f"{parameter} {value!r} is unknown.", hint=hint, nearest=alike, **where)
    return WorkflowRejected(f"{where['node_class']} does not know {name} {value!r}.", hint=hint, **where)
