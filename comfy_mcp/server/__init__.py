"""The MCP server and its transports. Used by the proxy and the command line."""

from comfy_mcp.server.protocol import Link, create_server
from comfy_mcp.server.sessions import Sessions
from comfy_mcp.server.stdio import serve_stdio

__all__ = ["Link", "Sessions", "create_server", "serve_stdio"]
