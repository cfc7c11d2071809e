"""ComfyUI custom nodes that call local language models and compare them in a graph, thin over ``llm_bridge``.

Imports without ComfyUI, torch and numpy, and asks no server while it does. Never imports ``comfy_mcp``.
"""

from __future__ import annotations

from comfy_nodes.host import prompt_server
from comfy_nodes.nodes import ALL
from comfy_nodes.routes import register

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

NODE_CLASS_MAPPINGS: dict[str, type] = {f"Workbench{node.__name__}": node for node in ALL}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {f"Workbench{node.__name__}": node.DISPLAY_NAME for node in ALL}
WEB_DIRECTORY = "./web"

if (_server := prompt_server()) is not None:
    register(_server.routes)
