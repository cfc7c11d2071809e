"""Calling nodes as ComfyUI does: in an event loop of each graph, with a page that is told what happens.

`Page` stands for ComfyUI's side of `comfy_nodes.host`: what a real one is told, it keeps.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

__all__ = ["Page", "Stopped", "comfyui"]


class Stopped(Exception):
    """ComfyUI's exception for an interrupted graph."""


class Page:
    """What one page of ComfyUI was told; ``interrupt`` is what its button does."""

    client_id = "page"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.progress: list[tuple[int, int]] = []
        self.interrupted = False
        self.freed = 0
        """How often ComfyUI's models were unloaded."""

    def send_sync(self, event: str, data: dict[str, Any], client: str | None = None) -> None:
        assert client == self.client_id, "told to everybody"
        if event == "comfyui-workbench.text":
            self.texts.append(data["text"])
        else:
            self.events.append((event, data))

    def interrupt(self) -> None:
        self.interrupted = True

    def free(self) -> None:
        self.freed += 1

    def told(self, event: str) -> list[dict[str, Any]]:
        """The data of all events of this name."""
        return [data for name, data in self.events if name == event]


@contextmanager
def comfyui(monkeypatch: pytest.MonkeyPatch) -> Generator[Page]:
    """As long as the block lasts the nodes find a ComfyUI in this process."""
    page = Page()

    class Bar:
        def __init__(self, total: int, node_id: str | None = None) -> None:
            pass

        def update_absolute(self, value: int, total: int) -> None:
            page.progress.append((value, total))

    found = {
        "server": {"PromptServer": SimpleNamespace(instance=page)},
        "comfy.model_management": {
            "processing_interrupted": lambda: page.interrupted,
            "InterruptProcessingException": Stopped,
            "unload_all_models": page.free,
            "soft_empty_cache": lambda: None,
        },
        "comfy.utils": {"ProgressBar": Bar},
    }
    with monkeypatch.context() as patch:
        for name, members in found.items():
            module = ModuleType(name)
            vars(module).update(members)
            patch.setitem(sys.modules, name, module)
        yield page
