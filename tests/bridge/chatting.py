"""A scripted server that answers chats, and a client of it: what most tests of the client begin with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from llm_bridge.chat import ChatRequest, Event
from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.messages import Message
from llm_bridge.transport import Timeouts
from tests.bridge.servers import Rule, Script, chunk, scripted, sse, stream

__all__ = ["ASK", "CHAT", "GOOD", "answering", "events_of"]

CHAT = "POST /v1/chat/completions"
ASK = ChatRequest("m", (Message.user("Hi"),))
GOOD = stream(sse(chunk("Hi"), chunk(finish="stop")))


@asynccontextmanager
async def answering(
    *rules: Rule, retry: Retry | None = None, timeouts: Timeouts | None = None
) -> AsyncGenerator[tuple[Script, Client]]:
    """A server that answers chats by these rules, and its client."""
    async with scripted(CHAT, *rules) as server:
        endpoint = Endpoint("box", server.url, kind="openai")
        async with Client.open(endpoint, retry=retry or Retry(pause=0.01), timeouts=timeouts) as client:
            yield server, client


async def events_of(client: Client, request: ChatRequest = ASK) -> list[Event]:
    async with client.stream(request) as events:
        return [event async for event in events]
