"""The use cases: what can be made, make it, wait for it, cancel it, fetch it. The only door that front doors use."""

from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Workbench"]
