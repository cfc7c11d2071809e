"""`/comfyui/object_info` and `/comfyui/system_stats`: what front ends look at before they send a graph.

Told is what the first ComfyUI offers, as far as graphs may hold it, without the names of other people's uploads.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import USUAL_NODES, ObjectInfo

__all__ = ["add_info"]

_VERSION = "0.3.64"
"""The ComfyUI whose shapes these routes have."""


def add_info(api: APIRouter, workbench: Workbench) -> None:
    """The routes that tell of nodes, models and the machine."""

    @api.get("/object_info")
    async def classes() -> dict[str, Any]:
        """Every node class that graphs may hold, with its inputs and the models there are."""
        info = await workbench.object_info()
        return {name: _told(info, name) for name in info.classes if _is_usual(workbench, name)}

    @api.get("/object_info/{name}")
    async def one_class(name: str) -> dict[str, Any]:
        """One class, or nothing when there is none of that name."""
        info = await workbench.object_info()
        return {name: _told(info, name)} if _is_usual(workbench, name) and info.has(name) else {}

    @api.get("/embeddings")
    async def embeddings() -> list[str]:
        """None are told: a prompt may name them all the same."""
        return []

    @api.get("/system_stats")
    async def system_stats() -> dict[str, Any]:
        """That somebody is here. What machines there are behind the queue is nobody's business."""
        system: dict[str, Any] = {
            "os": "posix",
            "ram_total": 0,
            "ram_free": 0,
            "comfyui_version": _VERSION,
            "python_version": "",
            "pytorch_version": "",
            "embedded_python": False,
            "argv": [],
        }
        return {"system": system, "devices": []}


def _is_usual(workbench: Workbench, name: str) -> bool:
    return name in USUAL_NODES or name in workbench.settings.graph_nodes


def _told(info: ObjectInfo, name: str) -> dict[str, Any]:
    raw = info.raw(name)
    hidden = [told for told in info.node(name).inputs if told.takes_upload]
    if not hidden:
        return raw
    sections = {section: dict(inputs or {}) for section, inputs in dict(raw.get("input") or {}).items()}
    for told in hidden:
        section = sections["required" if told.required else "optional"]
        section[told.name] = [[], dict(told.options)]
    return {**raw, "input": sections}
