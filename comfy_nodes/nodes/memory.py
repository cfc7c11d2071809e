"""Unload LLM and Free VRAM: whatever goes through them waits until the card is free for what comes next.

Both take a list as it is, so that it costs one unload, not one for each of its items. They are cached as other nodes
are: if nothing before them ran, nothing was loaded either, and running them each time would make ComfyUI run
everything after them each time as well. Neither fails the graph: where there is nothing to unload, there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_nodes.host import Running, free_memory
from comfy_nodes.servers import the_servers
from comfy_nodes.thread import on_bridge
from comfy_nodes.values import ANY, Provider
from llm_bridge.errors import BridgeError

__all__ = ["FreeVRAM", "UnloadLLM"]


class UnloadLLM:
    """Lets go of language models, and then hands on what came."""

    DISPLAY_NAME = "Unload LLM"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = "Unloads language models before anything that the value is linked to goes on, such as a sampler."
    RETURN_TYPES = (ANY, "STRING")
    RETURN_NAMES = ("value", "unloaded")
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, False)
    OUTPUT_TOOLTIPS = ("What came in.", "The models that were unloaded, as server/model, and why others were not.")
    FUNCTION = "unload"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "A name as the server has it, server/model, or a pattern such as qwen*. Empty is every model."
        return {
            "required": {
                "value": (ANY, {"tooltip": "Anything; it is handed on as it is."}),
                "model": ("STRING", {"default": "", "tooltip": tip}),
            },
            "optional": {"provider": ("LLM_PROVIDER", {"tooltip": "Without one, on all servers."})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    async def unload(
        self,
        *,
        value: list[Any],
        model: list[str],
        provider: list[Provider] | None = None,
        unique_id: list[str] | None = None,
    ) -> dict[str, Any]:
        running = Running((unique_id or [""])[0])
        where = (provider or [Provider()])[0]
        patterns = [name.strip() for name in model if name.strip()]
        gone, why = await on_bridge(running, lambda: _unload(where, patterns))
        unloaded = ", ".join(gone)
        if why:
            unloaded = " ".join([f"{unloaded or 'none'}.", *why])
        return {"ui": {"text": [f"Unloaded: {unloaded or 'none'}"]}, "result": (value, unloaded)}


async def _unload(where: Provider, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The models that went, and why there were none of a name, or of the provider."""
    gone: list[str] = []
    why: list[str] = []
    for pattern in patterns or [""]:
        try:
            servers = await the_servers()
            for name in await servers.resolve(where, [pattern]) if pattern else [None]:
                gone += await servers.unload(where, name)
        except BridgeError as failure:
            why.append(str(failure))
    return gone, why


class FreeVRAM:
    """Has ComfyUI let go of its own models, and then hands on what came."""

    DISPLAY_NAME = "Free VRAM"
    CATEGORY = "Workbench/LLM"
    DESCRIPTION = "Unloads ComfyUI's own models before anything that the value is linked to goes on, such as an LLM."
    RETURN_TYPES = (ANY,)
    RETURN_NAMES = ("value",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    OUTPUT_TOOLTIPS = ("What came in.",)
    FUNCTION = "free"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": (ANY, {"tooltip": "Anything; it is handed on as it is."})}}

    def free(self, *, value: list[Any]) -> tuple[list[Any]]:
        free_memory()
        return (value,)
