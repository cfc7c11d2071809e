"""Jobs from the queue to the backends and back. Used by workbench; one dispatcher at a time works on a data folder."""

from comfy_mcp.dispatch.dispatcher import Dispatcher
from comfy_mcp.dispatch.guest import Guest
from comfy_mcp.dispatch.limits import Limits

__all__ = ["Dispatcher", "Guest", "Limits"]
