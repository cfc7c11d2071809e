"""What was made, with all that it was made from."""

from comfy_mcp.proxy.page.gallery.routes import add_gallery

__all__ = ["add_gallery"]
