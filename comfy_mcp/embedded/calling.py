# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""Calling one node: what it is given, once for each item of its lists, and what comes of all calls together.

Owns ComfyUI's rules of lists (execution.py: get_input_data, _async_map_node_over_list, get_output_from_returns).
Lazy inputs, graph expansion and blocked outputs are not known here.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_mcp.embedded.graph import is_link
from comfy_mcp.embedded.node import NodeClass

__all__ = ["Given", "Made", "at_work", "collected", "given_to", "mapped", "merged", "resolved"]

Given = dict[str, Sequence[Any]]
"""The values of every input: one for a constant, as many as its source made for a link."""

at_work: contextvars.ContextVar[str | None] = contextvars.ContextVar("at_work", default=None)
"""The node whose code runs; also in threads that `asyncio.to_thread` starts for it."""


@dataclass(frozen=True)
class Made:
    """What a node made: a list for each of its outputs, and what the page shows of it."""

    outputs: list[list[Any]]
    ui: dict[str, list[Any]] | None


def given_to(
    cls: NodeClass,
    inputs: Mapping[str, Any],
    hidden: Mapping[str, Any],
    made: Callable[[str], Made | None] = lambda node: None,
) -> Given:
    """The values of a node's inputs. ``made`` tells what a source made; a link to one that made nothing is None."""
    sections = cls.INPUT_TYPES()
    given: Given = {}
    for name, value in inputs.items():
        if is_link(value):
            source = made(value[0])
            there = source is not None and value[1] < len(source.outputs)
            given[name] = source.outputs[value[1]] if source is not None and there else (None,)
        elif any(name in sections.get(section, ()) for section in ("required", "optional", "hidden")):
            given[name] = [value]
    if not getattr(cls, "NEEDS_HOST", False):
        for name, kind in sections.get("hidden", {}).items():
            if isinstance(kind, str) and kind in hidden:
                given[name] = [hidden[kind]]
    return given


async def mapped(
    owner: Any, function: str, given: Given, node: str, before: Callable[[], None] = lambda: None
) -> list[Any]:
    """Call a function of a node or its class once for each item; what each returned, or the task that still runs.

    The shorter lists repeat their last item. ``before`` is called before every call, and may raise.
    """
    call = getattr(owner, function)
    if getattr(owner, "INPUT_IS_LIST", False):
        items: list[dict[str, Any]] = [dict(given)]
    else:
        longest = max((len(values) for values in given.values()), default=0)
        items = [_item(given, index) for index in range(longest)] or [{}]
    returned: list[Any] = []
    for item in items:
        before()
        returned.append(await _called(call, item, node))
    return returned


def _item(given: Given, index: int) -> dict[str, Any]:
    return {name: values[index if len(values) > index else -1] for name, values in given.items()}


async def _called(call: Any, item: dict[str, Any], node: str) -> Any:
    if not inspect.iscoroutinefunction(call):
        token = at_work.set(node)
        try:
            return call(**item)
        finally:
            at_work.reset(token)

    async def work() -> Any:
        at_work.set(node)
        return await call(**item)

    task = asyncio.create_task(work())
    # What does not wait is done after this.
    await asyncio.sleep(0)
    return _outcome(task) if task.done() else task


def _outcome(task: asyncio.Task[Any]) -> Any:
    try:
        return task.result()
    except asyncio.CancelledError as failure:
        # Of the node's own making: nobody cancels its tasks while the prompt runs.
        raise RuntimeError("The node was cancelled by something that it waited for.") from failure


def collected(returned: Sequence[Any]) -> list[Any]:
    """What the calls of `mapped` returned, once all of their tasks are done."""
    return [_outcome(each) if isinstance(each, asyncio.Task) else each for each in returned]


async def resolved(returned: Sequence[Any]) -> list[Any]:
    """Wait for what `mapped` left running."""
    tasks = [each for each in returned if isinstance(each, asyncio.Task)]
    if tasks:
        await asyncio.wait(tasks)
    return collected(returned)


def merged(returned: Sequence[Any], cls: NodeClass) -> Made:
    """Put together what all calls of a node returned."""
    results, shown = list[Any](), list[dict[str, Any]]()
    for each in returned:
        if not isinstance(each, dict):
            results.append(each)
            continue
        if "expand" in each:
            raise NotImplementedError("This engine does not run nodes that expand into graphs.")
        if "ui" in each:
            shown.append(each["ui"])
        if "result" in each:
            results.append(each["result"])
    ui = {key: [value for each in shown for value in each[key]] for key in shown[0]} if shown else {}
    return Made(_joined(results, cls) if results else [], ui or None)


def _joined(results: list[Any], cls: NodeClass) -> list[list[Any]]:
    count = len(results[0])
    are_lists = getattr(cls, "OUTPUT_IS_LIST", [False] * count)
    return [
        [value for result in results for value in result[index]] if is_list else [result[index] for result in results]
        for index, is_list in zip(range(count), are_lists, strict=False)
    ]
