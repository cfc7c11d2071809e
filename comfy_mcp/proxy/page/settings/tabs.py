"""The pages below the section, and who may open which: what all of its modules need.

Owns the list. A page for administrators is refused here, since who may only read may still not read everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request, Response

from comfy_mcp.callers import Right, principal_of
from comfy_mcp.errors import NotAllowed
from comfy_mcp.proxy.page.rendering import document
from comfy_mcp.ui import to_say

__all__ = ["ADMINISTRATOR", "TABS", "Tab", "is_administrator", "shown"]


@dataclass(frozen=True, slots=True)
class Tab:
    """A page at ``path``; ``about`` says in a line what is there. Some are for administrators alone."""

    path: str
    title: str
    about: str
    admin: bool = False


TABS = (
    Tab("/settings", to_say("Overview"), ""),
    Tab("/settings/backends", to_say("Servers"), to_say("The ComfyUIs and language model servers that do the work.")),
    Tab("/settings/clients", to_say("Chats"), to_say("What to paste into LibreChat, Claude, LM Studio and others.")),
    Tab("/settings/tokens", to_say("Access tokens"), to_say("Who may use this workbench, and how much."), admin=True),
    Tab(
        "/settings/options",
        to_say("Options"),
        to_say("How long chats wait, how long links last, and more."),
        admin=True,
    ),
    Tab("/settings/doctor", to_say("Doctor"), to_say("Looks at everything and says what to do."), admin=True),
    Tab("/settings/api", to_say("API"), to_say("Every route for programs, with an example for each.")),
)


def is_administrator(request: Request) -> bool:
    return Right.ADMIN in principal_of(request.scope).rights


def _administrator(request: Request) -> None:
    if not is_administrator(request):
        raise NotAllowed("This page is for administrators.", hint="Sign in with a token that has the right admin.")


ADMINISTRATOR = Depends(_administrator)
"""The dependency of pages that others may not even read."""


def shown(request: Request, name: str, /, **context: Any) -> Response:
    """A whole page of this section, with the tabs that this person may open."""
    tabs = [tab for tab in TABS if is_administrator(request) or not tab.admin]
    return document(request, f"settings/{name}.html", tabs=tabs, tab=request.url.path, **context)
