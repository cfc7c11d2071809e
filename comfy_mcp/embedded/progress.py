"""How far each node of one prompt is, told as ComfyUI's `progress_state` (comfy_execution/progress.py).

Owns the states. May be called from any thread: nodes of packs report from threads of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Progress"]


class Progress:
    """``tell`` is given all states each time one changes."""

    def __init__(self, prompt_id: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._prompt_id, self._tell = prompt_id, tell
        self._states: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def start(self, node: str) -> None:
        self._set(node, 0.0, 1.0, "running")

    def update(self, node: str, value: float, maximum: float) -> None:
        self._set(node, value, maximum, "running")

    def finish(self, node: str) -> None:
        """Also for a node that never started, because what it makes was there."""
        maximum = self._states.get(node, {}).get("max", 1)
        self._set(node, maximum, maximum, "finished")

    def _set(self, node: str, value: float, maximum: float, state: str) -> None:
        told = {"value": value, "max": maximum, "state": state, "node_id": node, "prompt_id": self._prompt_id}
        with self._lock:
            self._states[node] = {**told, "display_node_id": node, "parent_node_id": None, "real_node_id": node}
            self._tell(dict(self._states))
