"""`/comfyui`: the few routes of ComfyUI that front ends with graphs of their own need, each over the queue."""

from comfy_mcp.proxy.comfyui.routes import router
from comfy_mcp.proxy.comfyui.wording import comfyui_failure

__all__ = ["comfyui_failure", "router"]
