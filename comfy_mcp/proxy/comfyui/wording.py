"""Failures as clients of ComfyUI read them."""

from __future__ import annotations

from typing import Any

from comfy_mcp.errors import ErrorRecord

__all__ = ["comfyui_failure"]


def comfyui_failure(record: ErrorRecord, status: int) -> dict[str, Any]:
    """The body of a refusal (`server.py` of ComfyUI, POST /prompt)."""
    error = {"type": record.code, "message": record.message, "details": record.hint, "extra_info": record.details}
    return {"error": error, "node_errors": {}}
