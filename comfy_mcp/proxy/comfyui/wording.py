"""Failures as clients of ComfyUI read them."""

from __future__ import annotations

from typing import Any

from comfy_mcp.errors import ErrorRecord

__all__ = ["comfyui_failure"]


def comfyui_failure(record: ErrorRecord, status: int) -> dict[str, Any]:
    """The body of a refusal (`server.py` of ComfyUI, POST /prompt); one of a node is told of that node too."""
    error = {"type": record.code, "message": record.message, "details": record.hint, "extra_info": record.details}
    node = record.details.get("node")
    if node is None:
        return {"error": error, "node_errors": {}}
    where = {"input_name": record.details["input"]} if "input" in record.details else {}
    told = {
        "errors": [{**error, "extra_info": where}],
        "dependent_outputs": [],
        "class_type": record.details.get("node_class", ""),
    }
    return {"error": error, "node_errors": {str(node): told}}
