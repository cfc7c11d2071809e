"""`/v1/chat/completions`: workflows as chat agents, and the queue in front of local language models.

Owns who answers a request. How it is read, made and told is in the modules beside it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.proxy.asking import Asker, asker_of
from comfy_mcp.proxy.links import Links
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.openai.agent import Agent
from comfy_mcp.proxy.openai.chat.messages import fetched_chat
from comfy_mcp.proxy.openai.chat.request import Completion, CompletionIn, completion_of, settled_chat
from comfy_mcp.proxy.openai.chat.told import Opened, Streamed, made_here, whole
from comfy_mcp.proxy.openai.models import known_models, named_template
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.streams import Answer
from comfy_mcp.workflows import Template

__all__ = ["add_completions"]

_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": CompletionIn.model_json_schema()}}}
}


def add_completions(api: APIRouter, workbench: Workbench, maker: Maker, links: Links) -> None:
    """Add these routes to those of `/v1`."""
    agent = Agent(workbench, maker, links)

    @api.post("/chat/completions", response_class=Response, openapi_extra=_BODY)
    async def complete(request: Request) -> Response:
        """Chat with a language model, or with a workflow, as OpenAI's clients do."""
        asker = asker_of(request)
        asked = await completion_of(request)
        template = named_template(workbench, asked.chat.model)
        if template is not None:
            opened = _from_workflow(agent, template, asked, asker, request)
            held = False
        else:
            opened = _from_model(workbench, asked, asker)
            held = asked.chat.schema is not None
        if asked.stream:
            return Streamed(request, opened, usage=asked.usage, held=held)
        return await whole(request, opened)


def _from_workflow(agent: Agent, template: Template, asked: Completion, asker: Asker, request: Request) -> Opened:
    def opened() -> Any:
        events = agent.answer(template, asked.chat, asker, request, progress=asked.stream)
        return made_here(asked.chat.model, events)

    return opened


def _from_model(workbench: Workbench, asked: Completion, asker: Asker) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Answer]:
        chat = await settled_chat(asked.chat, workbench, asker)
        try:
            chat = await fetched_chat(chat, workbench, asker.owner)
            async with workbench.streams.open(chat, owner=asker.owner, within=asked.within) as answer:
                yield answer
        except InvalidParameter as failure:
            raise _refused(failure, chat.model, workbench) from None

    return opened


def _refused(failure: InvalidParameter, model: str, workbench: Workbench) -> InvalidParameter | NotFound:
    """In the words of this door. A model that nobody knows is not found; one that will not do here stays refused."""
    if failure.parameter == "prompt":
        return InvalidParameter("messages", failure.message, hint=failure.hint)
    known = known_models(workbench)
    names = {name for server, each in known for name in (each.id, *each.aliases, f"{server}/{each.id}")}
    if failure.parameter != "model" or model in names or model.partition(":")[0] == "auto":
        return failure
    return NotFound(failure.message, hint=failure.hint, parameter="model")
