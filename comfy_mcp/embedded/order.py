# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""What is still to run of a prompt, and what of it next (comfy_execution/graph.py, ExecutionList).

Owns the order alone: nodes that wait for others, nodes that wait for tasks of their own, and the choice among the rest.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

from comfy_mcp.embedded.graph import Graph

__all__ = ["DependencyCycle", "Order"]


class DependencyCycle(Exception):
    """Nothing that is left can start. Only inputs that no class names can do this: others are checked before."""

    def __init__(self, node: str) -> None:
        super().__init__("Dependency cycle detected")
        self.node = node


class Order:
    """``is_made`` says whether what a node makes is there already: then nobody waits for it."""

    def __init__(self, graph: Graph, is_made: Callable[[str], bool]) -> None:
        self._graph, self._is_made = graph, is_made
        self._waiting_for: dict[str, int] = {}
        self._followers: dict[str, set[str]] = {}
        self._held = 0
        self._released = asyncio.Event()

    @property
    def empty(self) -> bool:
        return not self._waiting_for

    def add(self, node: str) -> None:
        """A node that is to run, and with it all that it needs and that is not there."""
        fresh, links = [node], list[tuple[str, str]]()
        while fresh:
            each = fresh.pop()
            if each in self._waiting_for:
                continue
            self._waiting_for[each], self._followers[each] = 0, set()
            needed = [source for source in self._graph.sources(each) if not self._is_made(source)]
            fresh += needed
            links += [(source, each) for source in needed]
        for source, follower in links:
            if follower not in self._followers[source]:
                self._followers[source].add(follower)
                self._waiting_for[follower] += 1

    async def next(self) -> str:
        """The node to take on now; waits while all of them wait for tasks.

        Raises:
            DependencyCycle: each waits for another.
        """
        while not (ready := [node for node, count in self._waiting_for.items() if count == 0]):
            if not self._held:
                raise DependencyCycle(next(iter(self._waiting_for)))
            await self._released.wait()
            self._released.clear()
        return self._preferred(ready)

    def _preferred(self, ready: list[str]) -> str:
        """Outputs, and what waits rather than works, come first; then what an output waits for."""
        for node in ready:
            cls = self._graph.class_of(node)
            if self._graph.is_output(node) or inspect.iscoroutinefunction(getattr(cls, cls.FUNCTION)):
                return node
        for node in ready:
            if any(self._graph.is_output(follower) for follower in self._followers[node]):
                return node
        for node in ready:
            if any(self._graph.is_output(far) for near in self._followers[node] for far in self._followers[near]):
                return node
        return ready[0]

    def hold(self, node: str) -> Callable[[], None]:
        """Leave a node aside until what is returned is called: its tasks run."""
        self._held += 1
        self._waiting_for[node] += 1

        def release() -> None:
            self._held -= 1
            self._waiting_for[node] -= 1
            self._released.set()

        return release

    def done(self, node: str) -> None:
        del self._waiting_for[node]
        for follower in self._followers.pop(node):
            self._waiting_for[follower] -= 1
