# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""One submitted graph, as the engine reads it: the nodes, their classes, and who takes what from whom.

Owns what a link is. Says nothing of results; validation, the cache and the order ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from comfy_mcp.embedded.node import NodeClass

__all__ = ["Graph", "is_link"]


def is_link(value: Any) -> bool:
    """Whether a value stands for the output of another node: [its id, the index]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


@dataclass(frozen=True)
class Graph:
    """``nodes`` is the graph as it was submitted, ``classes`` are all classes by name."""

    nodes: Mapping[str, Any]
    classes: Mapping[str, NodeClass]

    def class_name(self, node: str) -> str:
        return str(self.nodes[node]["class_type"])

    def class_of(self, node: str) -> NodeClass:
        return self.classes[self.class_name(node)]

    def is_output(self, node: str) -> bool:
        return getattr(self.class_of(node), "OUTPUT_NODE", False) is True

    def inputs(self, node: str) -> dict[str, Any]:
        found = self.nodes[node].get("inputs")
        return found if isinstance(found, dict) else {}

    def sources(self, node: str) -> list[str]:
        """Whom a node takes something from. A link to nowhere can only be on an input that its class does not name."""
        return [value[0] for value in self.inputs(node).values() if is_link(value) and value[0] in self.nodes]

    def ancestry(self, outputs: Iterable[str]) -> list[str]:
        """``outputs`` and all that they need, sources first. In a cycle somebody comes before a source."""
        order: list[str] = []
        opened, stack = set[str](), [(node, False) for node in reversed(list(outputs))]
        while stack:
            node, sources_done = stack.pop()
            if sources_done:
                order.append(node)
            elif node not in opened:
                opened.add(node)
                stack.append((node, True))
                stack += [(source, False) for source in self.sources(node)]
        return order

    def is_procedural(self, node: str) -> bool:
        """Whether anything that the painter made comes into this node."""
        return any(getattr(self.class_of(each), "PROCEDURAL", False) for each in self.ancestry([node]))
