"""How long the tasks of a page keep its thread: by the clock, and by what they had of a processor.

The second tells the same on a busy machine. Used by tests and by the benchmark of the page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from playwright.async_api import Page

__all__ = ["Longest", "tasks_of"]

_TRACED = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline"
_WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: "longtask" });
"""


@dataclass
class Longest:
    """Milliseconds, known at the end of the block. By the ``clock``, what takes less than 50 ms is 0, and what
    Playwright asks of the page counts as well."""

    clock: float = 0.0
    processor: float = 0.0


@asynccontextmanager
async def tasks_of(page: Page) -> AsyncGenerator[Longest]:
    """The longest task of the page within the block."""
    longest, events, ended = Longest(), list[dict[str, Any]](), anyio.Event()
    session: Any = await page.context.new_cdp_session(page)

    def collect(told: dict[str, Any]) -> None:
        events.extend(told["value"])

    def end(_: object) -> None:
        ended.set()

    session.on("Tracing.dataCollected", collect)
    session.on("Tracing.tracingComplete", end)
    await page.evaluate(_WATCH)
    await session.send("Tracing.start", {"categories": _TRACED})
    yield longest
    await session.send("Tracing.end")
    await ended.wait()
    longest.clock = await page.evaluate("window.longest")
    longest.processor = max(_of_the_page(events)) / 1000


def _of_the_page(events: list[dict[str, Any]]) -> Iterator[int]:
    """Microseconds of each task of the thread that runs the page's script, without those that Playwright asks for."""
    ours = {(each["pid"], each["tid"]) for each in events if each["name"] == "FunctionCall"}
    here = [each for each in events if (each["pid"], each["tid"]) in ours and "dur" in each]
    asked = [each["ts"] for each in here if "DevToolsSession" in str(each.get("args"))]
    for each in here:
        if each["name"] == "RunTask" and not any(each["ts"] <= at <= each["ts"] + each["dur"] for at in asked):
            yield each.get("tdur", 0)
