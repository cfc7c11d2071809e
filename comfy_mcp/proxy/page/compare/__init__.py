"""Text models side by side."""

from comfy_mcp.proxy.page.compare.routes import add_compare

__all__ = ["add_compare"]
