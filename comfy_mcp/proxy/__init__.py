"""The HTTP front doors over one workbench, behind one guard. Used by the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy_mcp.proxy.app import create_app
    from comfy_mcp.proxy.listen import listening

__all__ = ["create_app", "listening"]


def __getattr__(name: str) -> Any:
    """Each when it is first used: a chat over stdio needs the links alone, and would wait for all the front doors."""
    if name == "create_app":
        from comfy_mcp.proxy.app import create_app

        return create_app
    if name == "listening":
        from comfy_mcp.proxy.listen import listening

        return listening
    raise AttributeError(name)
