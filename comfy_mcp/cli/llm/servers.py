"""Which LLM servers a command asks: those of the settings, else those that run on this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

from comfy_mcp.backends import translated
from comfy_mcp.cli.shown import say
from comfy_mcp.errors import BackendUnavailable
from comfy_mcp.settings import load_settings
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BridgeError
from llm_bridge.queue import Queue
from llm_bridge.router import Choice, Router
from llm_bridge.scan import scan

__all__ = ["endpoints", "in_our_words", "opened", "routed"]


async def endpoints() -> Sequence[Endpoint]:
    """The servers to ask. Raises BackendUnavailable when there are none."""
    named = [server.endpoint for server in load_settings().all_llm_servers]
    if named:
        return named
    found = [server.endpoint for server in await scan()]
    if not found:
        raise BackendUnavailable(
            "No LLM server runs at a usual port of this machine.",
            hint="Start one, or set WORKBENCH_LLM_URL to where it answers.",
        )
    say(f"Found on this machine: {', '.join(server.name for server in found)}.", err=True)
    return found


@asynccontextmanager
async def opened() -> AsyncGenerator[Queue]:
    """A queue in front of those servers; failures come out in the words of the command line."""
    with in_our_words():
        async with Queue.open(await endpoints(), patience=0) as queue:
            yield queue


async def routed(queue: Queue, request: ChatRequest, on_event: Callable[[Event], object] | None = None) -> Reply:
    """The reply to a request whose model is a name as the router takes them; what `auto` chose is told."""

    def tell(choice: Choice) -> None:
        if request.model.partition(":")[0] == "auto":
            say(choice.because, err=True, dim=True)

    return await Router(queue).ask(request, on_event, on_choice=tell)


@contextmanager
def in_our_words() -> Generator[None]:
    """Failures of the bridge end the command as all others do."""
    try:
        yield
    except BridgeError as failure:
        raise translated(failure) from failure
