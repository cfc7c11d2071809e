"""The one guard in front of every route, mounted app and socket: who calls, from where, and how much at once."""

from comfy_mcp.proxy.guard.guard import PUBLIC, Guard, Rules

__all__ = ["PUBLIC", "Guard", "Rules"]
