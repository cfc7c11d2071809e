"""How far a prompt is, over all its nodes, from the events of ComfyUI.

Owns the weighing: a sampler is most of the work, a cached node none. The fraction never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable

from comfy_mcp.jobs import Graph, Progress

__all__ = ["Meter"]

_SAMPLER_WEIGHT = 20.0


class Meter:
    """Counts done and half-done nodes of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._weights = {
            node: _SAMPLER_WEIGHT if "ampler" in told["class_type"] else 1.0 for node, told in graph.items()
        }
        self._total = sum(self._weights.values()) or 1.0
        self._done: set[str] = set()
        self._at = ""
        self.progress = Progress()

    def cached(self, nodes: Iterable[str]) -> Progress:
        self._done.update(node for node in nodes if node in self._weights)
        return self._update()

    def executing(self, node: str | None) -> Progress:
        if self._at and node != self._at:
            self._done.add(self._at)
        self._at = node or ""
        return self._update()

    def stepped(self, node: str, value: int, maximum: int) -> Progress:
        """Node ``node`` finished step ``value`` of ``maximum``. Nodes that a custom node expanded into count as it."""
        return self._update(node.partition(".")[0], value, maximum)

    def previewed(self, picture: bytes) -> Progress:
        at = self.progress
        self.progress = Progress(at.fraction, at.value, at.maximum, at.node, at.text, picture)
        return self.progress

    def _update(self, node: str = "", value: int = 0, maximum: int = 0) -> Progress:
        done = sum(self._weights.get(each, 0.0) for each in self._done)
        if node and maximum and node not in self._done:
            done += self._weights.get(node, 0.0) * min(1.0, value / maximum)
        fraction = max(self.progress.fraction, min(1.0, done / self._total))
        self.progress = Progress(fraction, value, maximum, node or self._at, preview=self.progress.preview)
        return self.progress
