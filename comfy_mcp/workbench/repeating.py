"""What an ended job asks for when it is asked again: a request like its first one, for `submit` to judge anew.

Owns how a request is read back from a job. Nothing is guessed: a talk of several turns is nobody's request here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.jobs import GRAPH, BoundWorkflow, Job, JobRequest
from comfy_mcp.texts import CHAT, request_of
from comfy_mcp.workbench.chat_values import chat_values
from llm_bridge.chat import ChatRequest

__all__ = ["request_again"]

_SAMPLED = ("temperature", "top_p", "top_k", "min_p", "seed", "max_tokens")


def request_again(job: Job, needs: Collection[str] = ()) -> JobRequest | None:
    """The request that makes a job of a template or a chat again, with the seed that was drawn, on a backend with what
    the job ``needs``; None for a graph and for a chat that values cannot ask for."""
    values = None if job.template == GRAPH else job.values
    if job.template == CHAT:
        values = _chat_values(job.bound, _after("server:", needs))
    if values is None:
        return None
    tags = tuple(_after("tag:", needs))
    return JobRequest(job.template, values, job.style, owner=job.owner, priority=job.priority, tags=tags)


def _after(prefix: str, needs: Collection[str]) -> list[str]:
    return sorted(name.removeprefix(prefix) for name in needs if name.startswith(prefix))


def _chat_values(bound: BoundWorkflow, servers: list[str]) -> Mapping[str, Any] | None:
    told = bound.chat or {}
    asked = request_of(replace(bound, chat={**told, "images": []}), {})
    pictures = [asset for number, _, asset, _ in told["images"] if number == len(asked.messages) - 1]
    values = _told_by(asked)
    try:
        same = chat_values(values).request() == asked
    except InvalidParameter:
        return None
    if not same or len(pictures) != len(told["images"]) or len(pictures) > 1:
        return None
    model = "/".join((*servers, asked.model))
    return {**values, "model": model, "image": pictures[0] if pictures else None}


def _told_by(asked: ChatRequest) -> dict[str, Any]:
    texts = {message.role: message.text for message in asked.messages}
    return {
        "model": asked.model,
        "prompt": texts.get("user", ""),
        "system": texts.get("system", ""),
        "stop": asked.sampling.stop,
        "think": asked.think,
        "schema": asked.schema,
        **{name: getattr(asked.sampling, name) for name in _SAMPLED},
    }
