"""Failures as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

from comfy_mcp.errors import ErrorRecord

__all__ = ["OPENAI_STATUSES", "openai_failure"]

OPENAI_STATUSES = {422: 400}
"""OpenAI answers 400 where a field is wrong, and its clients know no other error by its name (`BadRequestError`)."""

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def openai_failure(record: ErrorRecord, status: int) -> dict[str, Any]:
    """The body of a failure: `error` with message, type, param and code."""
    kind = _KINDS.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    param = record.details.get("parameter")
    # The one code of OpenAI's that its clients act on.
    code = "model_not_found" if (status, param) == (404, "model") else record.code
    return {"error": {"message": str(record), "type": kind, "param": param, "code": code}}
