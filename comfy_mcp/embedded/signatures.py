# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""Under which key the engine keeps what a node made: its class, inputs, ancestors and IS_CHANGED.

Owns when two nodes count as the same (comfy_execution/caching.py). Not by id, so that a renumbered graph still hits,
unless the class asks for its id.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import time
from typing import Any

from comfy_mcp.embedded.calling import given_to, mapped, resolved
from comfy_mcp.embedded.graph import Graph, is_link
from comfy_mcp.embedded.host import Host
from comfy_mcp.embedded.node import NodeClass

__all__ = ["signatures"]


async def signatures(graph: Graph, nodes: list[str], host: Host) -> dict[str, str]:
    """The keys of ``nodes``, which come sources first."""
    keys: dict[str, str] = {}
    for node in nodes:
        cls, inputs = graph.class_of(node), graph.inputs(node)
        parts = [
            # Who is part of a cycle has no key in time, and never hits.
            (name, [keys.get(value[0], time.monotonic_ns()), value[1]] if is_link(value) else value)
            for name, value in sorted(inputs.items())
        ]
        own = node if _is_one_of_a_kind(cls) else None
        told = [graph.class_name(node), parts, await _changed(cls, inputs, node, host), own]
        keys[node] = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()
    return keys


def _is_one_of_a_kind(cls: NodeClass) -> bool:
    return getattr(cls, "NOT_IDEMPOTENT", False) or "UNIQUE_ID" in cls.INPUT_TYPES().get("hidden", {}).values()


async def _changed(cls: NodeClass, inputs: dict[str, Any], node: str, host: Host) -> Any:
    """What IS_CHANGED says of the constants: links are None, whatever comes along them."""
    if not hasattr(cls, "IS_CHANGED"):
        return None
    given = given_to(cls, inputs, {"PROMPT": {}, "EXTRA_PNGINFO": None, "UNIQUE_ID": node})
    if getattr(cls, "NEEDS_HOST", False) and "host" in inspect.signature(cls.IS_CHANGED).parameters:
        given["host"] = [host]
    try:
        told = await resolved(await mapped(cls, "IS_CHANGED", given, node))
    except Exception:  # noqa: BLE001 - ComfyUI takes a failing check for "changed"
        told = [math.nan]
    return [time.monotonic_ns() if isinstance(each, float) and math.isnan(each) else each for each in told]
