"""Who signed in on the page: what its cookie says, and whom it stands for as long as their token is one.

Owns the cookie. It never holds a token: a cookie of this machine's name is sent to its other ports as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Protocol

from starlette.datastructures import Headers

from comfy_mcp.callers import Principal, Right
from comfy_mcp.proxy.guard.rules import Rules
from comfy_mcp.signing import Signer

__all__ = ["COOKIE", "SIGNED_IN_SECONDS", "SignedIn", "from_own_page"]

COOKIE = "workbench"
SIGNED_IN_SECONDS = 30 * 24 * 3600

_PURPOSE = "signed-in"
_MOST_COOKIES = 8192
_VISITOR = "form link"


class Holders(Protocol):
    """The stored tokens, by their names; raises StorageUnavailable."""

    async def holder(self, name: str, mark: str) -> Principal | None:
        """Who has the token of this name, if ``mark`` is still its mark."""
        ...

    async def marked(self, token: bytes) -> tuple[str, str] | None:
        """The name and the mark of a token; None when it is none of ours."""
        ...


class SignedIn:
    """Makes cookies and reads them. ``link_expiry`` is in seconds."""

    def __init__(self, signer: Signer, rules: Rules, tokens: Holders, link_expiry: float) -> None:
        self._signer, self._rules, self._tokens = signer, rules, tokens
        self._link_expiry = int(link_expiry)

    async def cookie_for(self, token: bytes) -> str | None:
        """The value for who has this token, None when nobody has. Raises StorageUnavailable."""
        own = self._rules.token
        if own is not None and hmac.compare_digest(token, own.encode()):
            return self._signer.sign_for_a_while(_PURPOSE, {"own": self._signer.mark(_PURPOSE, token)})
        found = await self._tokens.marked(token)
        if found is None:
            return None
        return self._signer.sign_for_a_while(_PURPOSE, {"token": found[0], "mark": found[1]})

    def cookie_of_visitor(self, owner: str) -> str:
        """The value for who came by a link of ours as ``owner``, and may make what they made in the chat."""
        return self._signer.sign_for_a_while(_PURPOSE, {"visitor": owner})

    async def principal(self, headers: Headers) -> Principal | None:
        """Who sends this cookie. Raises StorageUnavailable."""
        found: Principal | None = None
        match self._signer.read_recent(_PURPOSE, _cookie(headers), SIGNED_IN_SECONDS):
            case {"own": str() as mark}:
                own = self._rules.token
                still = own is not None and hmac.compare_digest(mark, self._signer.mark(_PURPOSE, own.encode()))
                found = self._rules.owner if still else None
            case {"token": str() as name, "mark": str() as mark}:
                found = await self._tokens.holder(name, mark)
            case {"visitor": str() as owner}:
                # As long as the link itself would have been good for.
                lately = self._signer.read_recent(_PURPOSE, _cookie(headers), self._link_expiry)
                found = None if lately is None else Principal(_VISITOR, owner, frozenset({Right.MAKE}))
            case _:
                pass
        return None if found is None else found.by_page()


def from_own_page(headers: Headers) -> bool:
    """Whether a browser sends this from a page of ours: cookies come with requests of pages on other ports as well."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    host = headers.get("host", "").lower()
    return headers.get("origin", "").lower() in (f"http://{host}", f"https://{host}")


def _cookie(headers: Mapping[str, str]) -> str:
    raw = headers.get("cookie", "")
    if len(raw) > _MOST_COOKIES:
        return ""
    try:
        found = SimpleCookie(raw).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else str(found.value)
