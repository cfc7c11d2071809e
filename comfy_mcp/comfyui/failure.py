"""How a prompt that ended badly ended, as our error: who failed, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from comfy_mcp.comfyui.client import HistoryEntry
from comfy_mcp.errors import ExecutionFailed, Interrupted, OutOfMemory, WorkbenchError
from comfy_mcp.jobs import BoundWorkflow

__all__ = ["failure_in"]

_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/](?:[\w. -]+[\\/])+[\w. -]*")
_MOST = 300


def failure_in(entry: HistoryEntry, bound: BoundWorkflow) -> WorkbenchError | None:
    """The error of a prompt by its history, or None when it succeeded.

    An interrupted prompt has status "error" too; only its last message tells. A blocked branch reports an error on
    the socket, but the prompt goes on and succeeds; the history does not mention it.
    """
    if entry.last("execution_interrupted") is not None:
        return Interrupted("The job was stopped in ComfyUI.", hint="Start it again if that was a mistake.")
    told = entry.last("execution_error")
    if told is not None:
        return _execution_error(told, bound)
    if entry.status == "error":
        return ExecutionFailed("ComfyUI could not run the workflow.", hint="Look at ComfyUI's log.")
    return None


def _execution_error(told: Mapping[str, Any], bound: BoundWorkflow) -> ExecutionFailed:
    node, name = str(told.get("node_id", "")), str(told.get("node_type", "a node"))
    exception = str(told.get("exception_type", ""))
    message = str(told.get("exception_message", "")).strip().splitlines()
    reason = _PATH.sub("…", message[0])[:_MOST] if message else exception
    bound_here = sorted(param for place, param in bound.parameters.items() if place.rpartition(".")[0] == node)
    where = {"node": node, "node_class": name, "exception": exception, "parameters": bound_here or None}
    if "OutOfMemory" in exception or "out of memory" in reason.lower():
        return OutOfMemory(
            f"{name} (node {node}) ran out of memory.",
            hint="Make the picture smaller, or use a smaller model.",
            **where,
        )
    hint = f"Try other values for {', '.join(bound_here)}." if bound_here else "Try the workflow in ComfyUI itself."
    return ExecutionFailed(f"{name} (node {node}) failed: {reason}", hint=hint, **where)
