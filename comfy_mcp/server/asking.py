"""Asks the person, through the chat, for what a call lacks: required texts that the model left out.

Owns both ways: a question over the session in the handshake era, and an answer that asks to be sent again in the later.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from comfy_mcp.server.callers import Context
from comfy_mcp.tools.registry import Tool

__all__ = ["Answers", "ask_for_missing"]

log = logging.getLogger(__name__)

_KEY = "missing"


@dataclass(frozen=True, slots=True)
class Answers:
    """The arguments, with what the person added."""

    arguments: Mapping[str, Any]


async def ask_for_missing(
    ctx: Context, tool: Tool, arguments: Mapping[str, Any]
) -> Answers | types.InputRequiredResult:
    """The arguments as they are, when nothing is missing or the chat cannot ask; the tool then says what it needs."""
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    missing = [name for name in tool.schema.get("required", []) if arguments.get(name) in (None, "")]
    if not missing or not _can_ask(ctx) or any(properties[name].get("type") != "string" for name in missing):
        return Answers(arguments)
    shown: dict[str, Any] = {
        name: {"type": "string", "title": name, "description": properties[name]["description"]} for name in missing
    }
    schema: dict[str, Any] = {"type": "object", "properties": shown, "required": missing}
    question = f"{tool.title or tool.name} needs: {', '.join(missing)}."
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return _asked_again(ctx, arguments, question, schema)
    try:
        told = await ctx.session.elicit_form(question, schema, related_request_id=ctx.request_id)
    except (MCPError, RuntimeError):
        log.debug("The chat does not ask after all.", exc_info=True)
        return Answers(arguments)
    return Answers({**arguments, **_texts(told.content, missing)} if told.action == "accept" else arguments)


def _asked_again(
    ctx: Context, arguments: Mapping[str, Any], question: str, schema: dict[str, Any]
) -> Answers | types.InputRequiredResult:
    responses: object = (ctx.params or {}).get("inputResponses")
    if isinstance(responses, dict):
        # Answered already, also with a refusal: never ask twice.
        told: object = cast(dict[str, Any], responses).get(_KEY)
        content: object = cast(dict[str, Any], told).get("content") if isinstance(told, dict) else None
        return Answers({**arguments, **_texts(content, schema["required"])})
    params = types.ElicitRequestFormParams(message=question, requested_schema=schema)
    return types.InputRequiredResult(input_requests={_KEY: types.ElicitRequest(params=params)})


def _texts(content: object, names: list[str]) -> dict[str, str]:
    told = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    return {name: value for name in names if isinstance(value := told.get(name), str) and value}


def _can_ask(ctx: Context) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None
