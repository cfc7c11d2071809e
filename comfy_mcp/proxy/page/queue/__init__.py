"""What runs and what waits, live."""

from comfy_mcp.proxy.page.queue.routes import add_queue

__all__ = ["add_queue"]
