"""A form for every template: set it, run it, and see what comes."""

from comfy_mcp.proxy.page.tools.routes import add_tools

__all__ = ["add_tools"]
