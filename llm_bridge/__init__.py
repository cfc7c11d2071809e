"""One streaming client and one queue for every local LLM server, usable without ComfyUI, FastAPI and MCP.

Needs httpx alone. It imports neither ``comfy_mcp`` nor ``comfy_nodes``. These are the names most programs
need; `compare`, `agents`, `context`, `conversation`, `shapes`, `router` and `scan` are modules of their own.

Names are looked up when they are used: the pure modules (`scheduling`, `forecast`, `chat`) serve programs whose start
must not wait for an HTTP client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_bridge.chat import ChatRequest, Event, Loading, Prompting, Reasoning, Reply, Sampling, Text, Tool, Waiting
    from llm_bridge.client import Client
    from llm_bridge.endpoints import Endpoint
    from llm_bridge.errors import BridgeError
    from llm_bridge.messages import Image, Message
    from llm_bridge.queue import Queue
    from llm_bridge.transport import Timeouts

__all__ = [
    "BridgeError",
    "ChatRequest",
    "Client",
    "Endpoint",
    "Event",
    "Image",
    "Loading",
    "Message",
    "Prompting",
    "Queue",
    "Reasoning",
    "Reply",
    "Sampling",
    "Text",
    "Timeouts",
    "Tool",
    "Waiting",
]

_HOMES = {
    "BridgeError": "errors",
    "Client": "client",
    "Endpoint": "endpoints",
    "Image": "messages",
    "Message": "messages",
    "Queue": "queue",
    "Timeouts": "transport",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'chat')}"), name)
