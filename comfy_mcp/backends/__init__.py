"""Where jobs run: the interface every backend keeps, ComfyUI and LLM servers as such, and the pool of all of them.

Knows neither templates nor who asked. Used by dispatch and workbench.
"""

from comfy_mcp.backends.breaker import Breaker, Circuit
from comfy_mcp.backends.bridge_failures import translated
from comfy_mcp.backends.comfyui import ComfyUIBackend
from comfy_mcp.backends.interface import Backend, BackendConfig
from comfy_mcp.backends.llm import LLMBackend
from comfy_mcp.backends.member import Member
from comfy_mcp.backends.pool import Pool

__all__ = [
    "Backend",
    "BackendConfig",
    "Breaker",
    "Circuit",
    "ComfyUIBackend",
    "LLMBackend",
    "Member",
    "Pool",
    "translated",
]
