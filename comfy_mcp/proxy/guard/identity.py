"""Who sends a request: the token in its headers, looked up.

Owns the forms in which clients send a token, and when one is demanded. Tokens themselves are the workbench's.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Protocol

from starlette.datastructures import Headers

from comfy_mcp.callers import Principal
from comfy_mcp.proxy.guard.rules import Rules
from comfy_mcp.proxy.guard.signed_in import SignedIn

__all__ = ["Identity", "Tokens", "tokens_in"]


class Tokens(Protocol):
    """The stored tokens; both raise StorageUnavailable."""

    async def principal(self, token: bytes) -> Principal | None:
        """Who has this token."""
        ...

    async def exist(self) -> bool:
        """Whether there is any."""
        ...


class Identity:
    """Finds who calls, by the one token of the settings or the stored ones, or by the cookie of who signed in."""

    def __init__(self, rules: Rules, tokens: Tokens | None = None, signed_in: SignedIn | None = None) -> None:
        self._signed_in = signed_in
        self._owner, self._own = rules.owner, None if rules.token is None else rules.token.encode()
        self._tokens = tokens
        self._demanded = rules.exposed or self._own is not None

    async def of(self, headers: Headers) -> Principal | None:
        """Who calls; None when a token is demanded and this is none. Raises StorageUnavailable."""
        for token in tokens_in(headers.getlist("authorization")):
            if self._own is not None and hmac.compare_digest(token, self._own):
                return self._owner
            if self._tokens is not None and (found := await self._tokens.principal(token)) is not None:
                self._demanded = True
                return found
        if self._signed_in is not None and "authorization" not in headers and "cookie" in headers:
            found = await self._signed_in.principal(headers)
            if found is not None:
                return found
        return None if await self._demands() else self._owner

    async def _demands(self) -> bool:
        # Once is for good: who takes back the last token does not mean to let everybody in.
        if not self._demanded and self._tokens is not None:
            self._demanded = await self._tokens.exist()
        return self._demanded


def tokens_in(values: Sequence[str]) -> tuple[bytes, ...]:
    """What may be a token in the Authorization headers: that of Bearer, or the password or the user of Basic, which is
    what clients of A1111 and ComfyUI can send. Two headers are none, and nothing behind the scheme is nothing."""
    if len(values) != 1:
        return ()
    scheme, _, given = values[0].partition(" ")
    # As it came over the wire: Starlette reads headers as Latin-1, and only bytes are compared in constant time.
    sent = given.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(sent, validate=True).partition(b":")
        except binascii.Error:
            return ()
        return tuple(part for part in (password, user) if part)
    return (sent,) if scheme.lower() == "bearer" and sent else ()
