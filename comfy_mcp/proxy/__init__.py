"""The HTTP front doors over one workbench, behind one guard. Used by the command line."""

from comfy_mcp.proxy.app import create_app
from comfy_mcp.proxy.listen import listening

__all__ = ["create_app", "listening"]
