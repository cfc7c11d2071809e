"""Asks the person, through the chat, for what a call lacks: a required text that nobody gave.

Owns both ways: a question over the session in the handshake era, and an answer that asks to be sent again in the later.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.server.callers import Context
from comfy_mcp.tools.registry import Tool

__all__ = ["answered_before", "ask_for"]

log = logging.getLogger(__name__)

_KEY = "missing"


def answered_before(ctx: Context) -> dict[str, str]:
    """The texts that the person gave when this call was sent the first time (the later era)."""
    responses: object = (ctx.params or {}).get("inputResponses")
    if not isinstance(responses, dict):
        return {}
    told: object = cast(dict[str, Any], responses).get(_KEY)
    return _texts(cast(dict[str, Any], told).get("content")) if isinstance(told, dict) else {}


async def ask_for(
    ctx: Context, tool: Tool, arguments: Mapping[str, Any], failure: InvalidParameter
) -> dict[str, str] | types.InputRequiredResult | None:
    """What the person gave for the parameter that is missing, and for the others that are; None when the chat cannot
    ask, or something else is wrong with the call."""
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    missing = [name for name in tool.schema.get("required", []) if arguments.get(name) in (None, "")]
    texts = all(properties[name].get("type") == "string" for name in missing)
    if not (failure.details.get("missing") and failure.parameter in missing and texts and _can_ask(ctx)):
        return None
    shown = {
        name: {"type": "string", "title": name, "description": properties[name]["description"]} for name in missing
    }
    schema: dict[str, Any] = {"type": "object", "properties": shown, "required": missing}
    question = f"{tool.title or tool.name} needs: {', '.join(missing)}."
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if "inputResponses" in (ctx.params or {}):
            # Answered already, also with a refusal: never ask twice.
            return None
        params = types.ElicitRequestFormParams(message=question, requested_schema=schema)
        return types.InputRequiredResult(input_requests={_KEY: types.ElicitRequest(params=params)})
    try:
        told = await ctx.session.elicit_form(question, schema, related_request_id=ctx.request_id)
    except (MCPError, RuntimeError, ValueError):
        log.debug("The chat does not ask after all, or answers what is no answer.", exc_info=True)
        return None
    return _texts(told.content) if told.action == "accept" else None


def _texts(content: object) -> dict[str, str]:
    told = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    return {name: value for name, value in told.items() if isinstance(value, str) and value}


def _can_ask(ctx: Context) -> bool:
    """Whether the chat shows forms; one that says nothing more of how it asks does."""
    capabilities = ctx.session.client_capabilities
    asks = None if capabilities is None else capabilities.elicitation
    return asks is not None and (asks.form is not None or asks.url is None)
