"""Pictures of a chat that came as addresses: known, and not fetched before all else of the request was checked.

Owns which addresses are links to the caller's own pictures. Used by chats with models and with workflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from comfy_mcp.errors import NotFound
from comfy_mcp.jobs import Asset
from comfy_mcp.proxy.links import LINK
from comfy_mcp.workbench import Workbench
from llm_bridge.messages import Image

__all__ = ["Linked", "own_picture"]


@dataclass(frozen=True, slots=True)
class Linked(Image):
    """Stands in a message for the picture behind the ``address``; its data is not here yet."""

    address: str = ""


async def own_picture(address: str, workbench: Workbench, owner: str) -> Asset | None:
    """The picture of ours that this is a link to; under which name we are reached does not matter."""
    try:
        found = LINK.fullmatch(urlsplit(address).path)
        return None if found is None else await workbench.asset(found[1], owner)
    except (ValueError, NotFound):
        return None
