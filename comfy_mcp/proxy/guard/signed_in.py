"""Who signed in on the page: what its cookie says, and whom it stands for as long as their token is one.

Owns the cookie. It never holds a token: a cookie of this machine's name is sent to its other ports as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Protocol

from starlette.datastructures import Headers

from comfy_mcp.callers import Principal, Right
from comfy_mcp.proxy.guard.rules import Rules
from comfy_mcp.proxy.links import FORM_LINK, own_mark
from comfy_mcp.signing import Signer

__all__ = ["COOKIE", "SIGNED_IN_SECONDS", "SignedIn", "Visit", "from_own_page"]

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


@dataclass(frozen=True, slots=True)
class Visit:
    """What a link to the page says: as whom, and where to."""

    owner: str
    path: str


class SignedIn:
    """Makes cookies and reads them. The signature of a link to a form is a cookie too, good for no longer than the link
    and the token of who got it in a chat. ``link_expiry`` is in seconds."""

    def __init__(self, signer: Signer, rules: Rules, tokens: Holders, link_expiry: float) -> None:
        self._signer, self._rules, self._tokens = signer, rules, tokens
        self._link_expiry = int(link_expiry)

    async def cookie_for(self, token: bytes) -> str | None:
        """The value for who has this token, None when nobody has. Raises StorageUnavailable."""
        own = self._rules.token
        if own is not None and hmac.compare_digest(token, own.encode()):
            return self._signer.sign_for_a_while(_PURPOSE, {"own": self._own_mark})
        found = await self._tokens.marked(token)
        if found is None:
            return None
        return self._signer.sign_for_a_while(_PURPOSE, {"token": found[0], "mark": found[1]})

    async def visit(self, signature: str) -> Visit | None:
        """What a link says; None when we did not sign it lately, or who had it may nothing any more."""
        told = self._signer.read_recent(FORM_LINK, signature, self._link_expiry)
        if told is None or await self._holder(told["by"]) is None:
            return None
        return Visit(told["owner"], told["path"])

    async def principal(self, headers: Headers) -> Principal | None:
        """Who sends this cookie. Raises StorageUnavailable."""
        cookie = _cookie(headers)
        if (told := self._signer.read_recent(_PURPOSE, cookie, SIGNED_IN_SECONDS)) is not None:
            found = await self._holder(told)
            return None if found is None else found.by_page()
        visit = await self.visit(cookie)
        return None if visit is None else Principal(_VISITOR, visit.owner, frozenset({Right.MAKE})).by_page()

    async def _holder(self, told: Any) -> Principal | None:
        """Who has the token that a cookie or a link stands for."""
        match told:
            case {"own": str() as mark} if hmac.compare_digest(mark, self._own_mark):
                return self._rules.owner
            case {"token": str() as name, "mark": str() as mark}:
                return await self._tokens.holder(name, mark)
            case _:
                return None

    @property
    def _own_mark(self) -> str:
        return own_mark(self._signer, self._rules.token)


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
