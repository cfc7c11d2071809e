"""An LLM server for tests of the workbench: scripted, on a real socket, of the plainest dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.bridge.servers import Answer, Received, Script, Step, chunk, json_answer, scripted, sse, stream

__all__ = ["CHAT", "NOWHERE", "answered", "hanging", "models_asked", "says", "text_server"]

CHAT = "POST /v1/chat/completions"
NOWHERE = "http://127.0.0.1:9"


def says(text: str, *before: Step) -> Answer:
    """An answer of two pieces, with its usage."""
    half = len(text) // 2
    usage: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    return stream(*before, sse(chunk(text[:half]), chunk(text[half:], "stop"), usage))


def answered(received: Received) -> Answer:
    """Who it is and what it was asked."""
    body = received.json
    return says(f"{body['model']} on {body['messages'][-1]['content']}")


def hanging(until: asyncio.Event) -> Answer:
    """One token, and the rest when it may."""
    return stream(sse(chunk("Once"), done=False), until, sse(chunk(" more.", "stop")))


def models_asked(script: Script) -> list[str]:
    """The models that were asked, in order."""
    return [body["model"] for body in script.bodies(CHAT)]


@asynccontextmanager
async def text_server(models: Sequence[str] = ("alpha", "beta")) -> AsyncGenerator[Script]:
    """A server of these models, which answer who they are and what they were asked."""
    async with scripted() as script:
        script.on("GET /v1/models", json_answer({"data": [{"id": model} for model in models]}))
        script.on(CHAT, answered)
        yield script
