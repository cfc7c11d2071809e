"""Failures as clients of A1111 read them."""

from __future__ import annotations

from typing import Any

from comfy_mcp.errors import ErrorRecord

__all__ = ["a1111_failure"]


def a1111_failure(record: ErrorRecord, status: int) -> dict[str, Any]:
    """The body that A1111 answers with (`modules/api/api.py`): a name, and what there is to say."""
    return {"error": record.code, "detail": str(record), "body": "", "errors": str(record)}
