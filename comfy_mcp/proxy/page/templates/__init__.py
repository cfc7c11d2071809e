"""What can be made: import, look at, trim, try, save."""

from comfy_mcp.proxy.page.templates.routes import add_templates

__all__ = ["add_templates"]
