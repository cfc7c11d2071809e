"""`/sdapi/v1`: the routes of A1111 that chat front ends call, over the same workbench."""

from comfy_mcp.proxy.a1111.routes import router
from comfy_mcp.proxy.a1111.wording import a1111_failure

__all__ = ["a1111_failure", "router"]
