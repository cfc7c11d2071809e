"""The one guard in front of every route, mounted app and socket: who calls, from where, and how much at once."""

from comfy_mcp.proxy.guard.guard import Guard
from comfy_mcp.proxy.guard.identity import Identity
from comfy_mcp.proxy.guard.protocol import protocol_within
from comfy_mcp.proxy.guard.rules import Rules
from comfy_mcp.proxy.guard.signed_in import COOKIE, SIGNED_IN_SECONDS, SignedIn, Visit

__all__ = ["COOKIE", "SIGNED_IN_SECONDS", "Guard", "Identity", "Rules", "SignedIn", "Visit", "protocol_within"]
