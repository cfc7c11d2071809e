"""Who calls over HTTP and what they may: the principal that the guard found, and what the headers of a request say.

Owns the names of those headers. What chats put there unfilled (`{{COMFY_STEPS}}`, nothing) counts as not sent. Plain
types, so that the guard in front, MCP and every other front door mean the same by them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from starlette.types import Scope as Connection

__all__ = [
    "EVERYTHING",
    "OWN",
    "Principal",
    "Right",
    "filled",
    "owner_of",
    "principal_of",
    "standing_from",
    "standing_of",
    "with_principal",
]

OWN = "local"
"""The owner of the machine: whose jobs the command line makes."""

_KEY = "workbench.principal"
_PREFIX = "x-comfy-"
_USERS = ("x-user-id", "x-openwebui-user-id")
_UNFILLED = re.compile(r"\{\{.*\}\}|\$\{.*\}")
_MOST, _LONG = 4_000, 128
_NOBODY = "nobody"


class Right(StrEnum):
    """What a token may be good for."""

    MAKE = "make"
    """Ask for pictures and texts, and see one's own."""
    GRAPHS = "graphs"
    """Send graphs of one's own through ComfyUI's routes, where the settings allow those at all."""
    USERS = "users"
    """Say which user asks: the token of a front end that many people share."""
    ADMIN = "admin"
    """Pause backends, and change what holds for all."""


EVERYTHING = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is from. ``rate`` is requests a minute, 0 for any number, None for the setting's. ``by_cookie`` is
    a person who signed in on the page. ``mark`` tells a stored token from a later one of its name."""

    name: str = OWN
    owner: str = OWN
    rights: frozenset[Right] = EVERYTHING - {Right.USERS}
    rate: int | None = None
    by_cookie: bool = False
    mark: str = ""

    def by_page(self) -> Principal:
        """The same, signed in on the page: a person, who speaks for nobody else."""
        return replace(self, rights=self.rights - {Right.USERS}, by_cookie=True)


def with_principal(connection: Connection, principal: Principal) -> None:
    """Note on a connection who it is from; the guard alone does."""
    connection[_KEY] = principal


def principal_of(connection: Connection) -> Principal:
    """Who a request is from. A connection that no guard saw is from nobody who may do anything."""
    found = connection.get(_KEY)
    return found if isinstance(found, Principal) else Principal("nobody", _NOBODY, frozenset())


def owner_of(principal: Principal, headers: Mapping[str, str]) -> str:
    """Whose jobs a request makes; a name in a header counts only from a front end whose word is taken for it."""
    if Right.USERS not in principal.rights:
        return principal.owner
    named = next((found for name in _USERS if (found := filled(headers.get(name, "")))), None)
    if named is None:
        # Not the owner of the machine, whose jobs the command line makes.
        return _NOBODY
    return f"user:{named}" if len(named) <= _LONG else f"user:{hashlib.sha256(named.encode()).hexdigest()}"


def standing_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What a person sends with every call, by parameter, from all the headers of a request."""
    return standing_from({name: value for name, value in headers.items() if name.lower().startswith(_PREFIX)})


def standing_from(told: Mapping[str, str]) -> dict[str, str]:
    """Parameters by name from headers (`X-Comfy-Steps`) or variables (`COMFY_STEPS`), without the unfilled ones."""
    found: dict[str, str] = {}
    for name, value in told.items():
        key = name.lower().replace("-", "_").removeprefix("x_").removeprefix("comfy_")
        if key and (text := filled(value)) is not None:
            found[key] = text
    return found


def filled(value: str) -> str | None:
    """What a header says; None when there is nothing, or a placeholder that nobody filled."""
    value = value.strip()
    if value.startswith("b64:"):
        try:
            value = base64.b64decode(value[4:], validate=True).decode().strip()
        except (binascii.Error, ValueError):
            return None
    odd = len(value) > _MOST or not value.replace("\n", " ").isprintable()
    return None if not value or odd or _UNFILLED.fullmatch(value) else value
