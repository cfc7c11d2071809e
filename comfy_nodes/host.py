"""All that the nodes reach of ComfyUI: live text, events, progress, the wish to stop, folders and memory.

Looked up when it is used, so that the pack imports and its nodes can be called without ComfyUI: there nothing is told
and nobody interrupts. Every method of `Running` may be called from any thread.
"""

from __future__ import annotations

import contextvars
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["Interrupted", "Running", "free_memory", "interruption", "output_folder", "prompt_server", "user_folder"]

_TEXT_SECONDS = 0.1
_MOST_TEXT = 20_000
"""Letters of a growing text that are shown; the end is what people watch."""


class Interrupted(Exception):
    """Somebody stopped the graph. Only raised where there is no ComfyUI with an exception of its own for it."""


class Running:
    """One call of one node, for the page that submitted the graph.

    A program that submits without a client id is told nothing: ComfyUI would tell every page that is open instead.
    """

    def __init__(self, node: str | None) -> None:
        server = prompt_server()
        self.node = node or ""
        self.prompt = _prompt()
        """The id of the graph's run, None where ComfyUI does not tell."""
        self._server = server
        self._client: str | None = getattr(server, "client_id", None)
        # Which prompt runs is in a context variable of ComfyUI, which another thread does not have.
        self._context = contextvars.copy_context()
        self._stopped = False
        self._text_due = 0.0
        self._held: str | None = None

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked this graph to stop. Reads the flag, and leaves it as it is for ComfyUI."""
        management = sys.modules.get("comfy.model_management")
        return self._stopped or (management is not None and bool(management.processing_interrupted()))

    def text(self, text: str, *, last: bool = False) -> None:
        """Show what there is so far in the node, at most ten times a second; ``last`` is shown at once."""
        self._held = text[-_MOST_TEXT:]
        self.catch_up(at_once=last)

    def catch_up(self, *, at_once: bool = False) -> None:
        """Show the text that came too soon after the one before, if its time has come and no other came since."""
        now, held = time.monotonic(), self._held
        if self._told and held is not None and (at_once or now >= self._text_due):
            self._text_due, self._held = now + _TEXT_SECONDS, None
            # Not `send_progress_text`: ComfyUI's page has shown that as markup (front end 1.27), so that a script in a
            # model's answer ran.
            self.tell("comfyui-workbench.text", {"node": self.node, "text": held})

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """Send an event to the page; ``data`` is JSON."""
        if self._told:
            self._server.send_sync(event, data, self._client)

    def progress(self, value: int, maximum: int) -> None:
        """Move the bar of the node: ``value`` of ``maximum`` is done."""
        modules = sys.modules.get("comfy.utils")
        if modules is None or not self._told or maximum <= 0 or self.interrupted:
            return
        bar = modules.ProgressBar(maximum, node_id=self.node)
        try:
            self._context.copy().run(bar.update_absolute, min(value, maximum), maximum)
        except _interruption_type():
            # ComfyUI's bar raises for a graph that is to stop, and takes the flag away.
            self._stopped = True

    @property
    def _told(self) -> bool:
        return self._client is not None and bool(self.node)


def prompt_server() -> Any:
    """ComfyUI's server object, None where there is none."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def _prompt() -> str | None:
    # comfy_execution/utils.py since ComfyUI 0.3.45; it knows the prompt in the context of a node alone.
    executing = getattr(sys.modules.get("comfy_execution.utils"), "get_executing_context", None)
    context = None if executing is None else executing()
    found = getattr(prompt_server(), "last_prompt_id", None) if context is None else context.prompt_id
    return found or None


def interruption() -> Exception:
    """What a node raises when the graph is to stop: ComfyUI takes it for that, not for a failure."""
    return _interruption_type()()


def _interruption_type() -> type[Exception]:
    management = sys.modules.get("comfy.model_management")
    return Interrupted if management is None else management.InterruptProcessingException


def free_memory() -> None:
    """Let ComfyUI unload its models and give their memory back. Blocks; for the thread that runs the graph only."""
    management = sys.modules.get("comfy.model_management")
    if management is not None:
        management.unload_all_models()
        management.soft_empty_cache()


def user_folder() -> Path:
    """Where the nodes keep what is theirs, inside of ComfyUI's user folder; it need not exist."""
    paths = sys.modules.get("folder_paths")
    base = Path.home() / ".cache" if paths is None else Path(paths.get_user_directory())
    return base / "comfyui-workbench"


def output_folder(kind: str) -> Path:
    """ComfyUI's folder of this kind: output, or temp, which it empties when it starts."""
    paths = sys.modules.get("folder_paths")
    if paths is None:
        return user_folder() / kind
    return Path(paths.get_temp_directory() if kind == "temp" else paths.get_output_directory())
