"""The modules of ComfyUI that a pack finds here: `server`, `comfy.model_management`, `comfy.utils`, `folder_paths`,
`comfy_execution.utils`.

Owns those stand-ins, which hold what our own pack uses and no more: events, live text, progress, the wish to stop,
folders, routes, which prompt runs. They are put into `sys.modules` when the engine has packs, and only where there is
no such module yet; so one engine with packs per process. Everything here may be called from any thread.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from PIL import Image

from comfy_mcp.embedded.calling import at_work
from comfy_mcp.embedded.execution import Execution
from comfy_mcp.embedded.host import Host, Interrupted
from comfy_mcp.embedded.pack_routes import RouteTable
from comfy_mcp.embedded.sockets import TEXT

__all__ = ["Publish", "install"]

Publish = Callable[[str | int, Any, str | None], None]
"""Send an event to one client, or to all when there is no client."""


def install(execution: Execution, publish: Publish, routes: RouteTable) -> list[str]:
    """Put the modules where packs import them from; the names of those that were not there yet."""
    modules = [
        _module("server", PromptServer=SimpleNamespace(instance=_PromptServer(execution, publish, routes))),
        _module("comfy", __path__=[]),
        _model_management(execution.host),
        _module("comfy.utils", ProgressBar=_progress_bar(execution)),
        _folder_paths(execution.host),
        _module("comfy_execution", __path__=[]),
        _module("comfy_execution.utils", get_executing_context=_executing(execution)),
    ]
    fresh = [module for module in modules if module.__name__ not in sys.modules]
    for module in fresh:
        sys.modules[module.__name__] = module
        package, _, name = module.__name__.rpartition(".")
        if package:
            setattr(sys.modules[package], name, module)
    return [module.__name__ for module in fresh]


def _module(name: str, **holds: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(holds)
    return module


class _PromptServer:
    """ComfyUI's server object, as a pack sees it (server.py)."""

    def __init__(self, execution: Execution, publish: Publish, routes: RouteTable) -> None:
        self._execution, self._publish, self.routes = execution, publish, routes

    @property
    def client_id(self) -> str | None:
        return self._execution.client

    @property
    def last_node_id(self) -> str | None:
        return self._execution.node

    @property
    def last_prompt_id(self) -> str | None:
        return self._execution.prompt_id

    def send_sync(self, event: str | int, data: Any, sid: str | None = None) -> None:
        self._publish(event, data, sid)

    def send_progress_text(self, text: bytes | bytearray | str, node_id: str, sid: str | None = None) -> None:
        told = text.encode() if isinstance(text, str) else bytes(text)
        node = str(node_id).encode()
        self._publish(TEXT, struct.pack(">I", len(node)) + node + told, sid)


def _model_management(host: Host) -> ModuleType:
    def interrupt_current_processing(value: bool = True) -> None:
        if value:
            host.stop.set()
        else:
            host.stop.clear()

    def nothing() -> None:
        """There is no memory of a card to give back."""

    return _module(
        "comfy.model_management",
        InterruptProcessingException=Interrupted,
        processing_interrupted=host.stop.is_set,
        throw_exception_if_processing_interrupted=host.raise_if_stopped,
        interrupt_current_processing=interrupt_current_processing,
        unload_all_models=nothing,
        soft_empty_cache=nothing,
    )


def _progress_bar(execution: Execution) -> type[Any]:
    class ProgressBar:
        """comfy/utils.py, with the hook that main.py puts into it."""

        def __init__(self, total: float, node_id: str | None = None) -> None:
            self.total, self.current, self.node_id = total, 0, node_id

        def update_absolute(
            self, value: float, total: float | None = None, preview: tuple[str, Image.Image, int | None] | None = None
        ) -> None:
            self.total = self.total if total is None else total
            self.current = min(value, self.total)
            picture = None if preview is None else preview[1]
            execution.progress(self.current, self.total, picture, self.node_id)

        def update(self, value: float) -> None:
            self.update_absolute(self.current + value)

    return ProgressBar


class _ExecutionContext(NamedTuple):
    """comfy_execution/utils.py"""

    prompt_id: str | None
    node_id: str


def _executing(execution: Execution) -> Callable[[], _ExecutionContext | None]:
    def get_executing_context() -> _ExecutionContext | None:
        node = at_work.get()
        return None if node is None else _ExecutionContext(execution.prompt_id, node)

    return get_executing_context


def _folder_paths(host: Host) -> ModuleType:
    def getter(kind: str) -> Callable[[], str]:
        return lambda: str(host.folder(kind))

    kinds = ("input", "output", "temp", "user")
    return _module("folder_paths", **{f"get_{kind}_directory": getter(kind) for kind in kinds})
