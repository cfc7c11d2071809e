"""`/api/v1`: templates, jobs, assets, backends and comparisons for programs."""

from comfy_mcp.proxy.api.jobs import router

__all__ = ["router"]
