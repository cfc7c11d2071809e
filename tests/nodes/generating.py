"""LLM Generate as a graph calls it, and servers that go on while the test's own event loop stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from comfy_nodes.nodes.generate import LLMGenerate

__all__ = ["beside", "generated"]

T = TypeVar("T")


async def generated(prompt: str = "Hello.", **told: Any) -> tuple[Any, ...]:
    """The outputs of the node."""
    inputs: dict[str, Any] = {"model": "auto", "system": "", "seed": 1, "temperature": 0.7, "max_tokens": 64, **told}
    return (await LLMGenerate().generate(prompt=prompt, unique_id="7", **inputs))["result"]


@contextmanager
def beside(opened: AbstractAsyncContextManager[T]) -> Generator[T]:
    """What the block has is served by a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        value = asyncio.run_coroutine_threadsafe(opened.__aenter__(), loop).result(10)
        try:
            yield value
        finally:
            asyncio.run_coroutine_threadsafe(opened.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
