"""What can be made, as cards: with a picture of what it makes, and with what it lacks to be run.

Owns how a template is judged without asking ComfyUI anew. The form behind a card is in showing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from comfy_mcp.backends import ComfyUIBackend
from comfy_mcp.errors import BackendError, ErrorRecord
from comfy_mcp.proxy.page.tools.pictures import newest_by_template, preview_of
from comfy_mcp.texts import CHAT
from comfy_mcp.ui import Words
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.chat_values import CHAT_LISTED
from comfy_mcp.workflows import Lack, ObjectInfo, Template, lacks

__all__ = ["Card", "away_of", "cards_of"]

_PATIENCE_SECONDS = 3.0
_MOST_LACKS = 4


@dataclass(frozen=True, slots=True)
class Card:
    """One tool. ``picture`` is an address, and ``missing`` what it lacks to be run, in words."""

    id: str
    title: str
    description: str
    picture: str | None
    missing: tuple[str, ...] = ()
    own: bool = False


async def cards_of(workbench: Workbench, owner: str, words: Words) -> list[Card]:
    """Every template, those that chats are shown first and those that cannot run now last, and a chat where there is
    somebody to chat with."""
    newest = await newest_by_template(workbench, owner)
    infos = await _known_infos(workbench)
    cards: list[Card] = []
    for template in workbench.catalogue.templates.values():
        picture = await preview_of(template) or newest.get(template.id)
        own = not template.shipped
        cards.append(
            Card(template.id, template.title, template.description, picture, _missing(template, infos, words), own)
        )
    if workbench.settings.all_llm_servers:
        cards.append(Card(CHAT, CHAT_LISTED["title"], CHAT_LISTED["description"], None))
    pinned = {name: place for place, name in enumerate(workbench.settings.tools)}
    return sorted(cards, key=lambda card: (bool(card.missing), pinned.get(card.id, len(pinned))))


def away_of(workbench: Workbench) -> ErrorRecord | None:
    """Why no ComfyUI can be reached, when none can."""
    members = [
        member for member in workbench.pool.members if isinstance(member.backend, ComfyUIBackend) and not member.leaving
    ]
    failures = [member.breaker.failure for member in members]
    if not all(failures):
        return None
    return next((failure.record for failure in failures if failure is not None), None)


async def _known_infos(workbench: Workbench) -> Sequence[ObjectInfo]:
    """What each ComfyUI offers, none while nobody knows."""
    with anyio.move_on_after(_PATIENCE_SECONDS):
        try:
            return await workbench.pool.object_infos()
        except BackendError:
            pass
    return ()


def _missing(template: Template, infos: Sequence[ObjectInfo], words: Words) -> tuple[str, ...]:
    """What the first ComfyUI lacks to run it, when there is none that can."""
    lacking = [lacks(template.graph, template.parameters, info) for info in infos]
    if not lacking or not all(lacking):
        return ()
    return tuple(dict.fromkeys(_told(lack, words) for lack in lacking[0]))[:_MOST_LACKS]


def _told(lack: Lack, words: Words) -> str:
    """What is missing, and what to do."""
    if lack.kind == "node":
        if lack.is_ours:
            return words("Needs our nodes in ComfyUI. Install them with: comfy-workbench install-nodes COMFYUI_FOLDER")
        return words("Needs the node %(name)s. Install its node pack, then restart ComfyUI.", name=lack.name)
    if lack.kind == "choice":
        return words("This ComfyUI does not offer %(name)s. Update it, or choose another.", name=lack.name)
    folder = f"models/{lack.folder}" if lack.folder else "models"
    if not lack.name:
        return words("Needs a model. Put one into ComfyUI's folder %(folder)s.", folder=folder)
    return words("Needs %(name)s. Put it into ComfyUI's folder %(folder)s.", name=lack.name, folder=folder)
