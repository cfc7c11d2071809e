"""Chats that wait, in a few words, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest, Event, Reply, Text
from llm_bridge.messages import Message

__all__ = ["answer", "asking", "text_of"]


def asking(prompt: str = "the sea", model: str = "alpha", **more: Any) -> ChatRequest:
    return ChatRequest(model, (Message.user(prompt),), **more)


async def answer(workbench: Workbench, asked: ChatRequest, **more: Any) -> tuple[list[Event], Reply]:
    """All events of a chat, and its reply. Raises what it failed with."""
    with anyio.fail_after(30):
        async with workbench.streams.open(asked, **more) as stream:
            return [event async for event in stream], stream.reply


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))
