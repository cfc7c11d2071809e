"""Inputs that no node has: left out where the node is ComfyUI's own, kept where a pack may take them all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfy_mcp.workflows import ObjectInfo, import_workflow
from tests.data.record_object_info import recorded

INPUTS = {"images": ["1", 0], "filename_prefix": "x", "parts.a": ["1", 0]}
"""The last belongs to a group, whose inputs are not named one by one."""

UNNAMED = {"other.a": ["1", 0], "x": ["1", 0], "y": 7}
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": INPUTS | UNNAMED},
}


def told_by(module: str) -> ObjectInfo:
    """As a ComfyUI tells it whose nodes come from this module."""
    raw = recorded()
    group: list[Any] = ["COMFY_AUTOGROW_V3", {}]
    raw["SaveImage"]["input"]["optional"] = {"parts": group}
    return ObjectInfo({name: {**told, "python_module": module} for name, told in raw.items()})


@pytest.mark.parametrize(
    ("module", "kept"), [("nodes", False), ("comfy_extras.nodes_x", False), ("custom_nodes.x", True)]
)
def test_what_only_a_pack_could_take_is_kept_for_packs_alone(module: str, kept: bool) -> None:
    imported = import_workflow(json.dumps(GRAPH).encode(), name="x", object_info=told_by(module))
    assert imported.graph["2"]["inputs"] == (INPUTS | UNNAMED if kept else INPUTS)
    assert any("2 links lead to inputs" in told for told in imported.warnings) is not kept
