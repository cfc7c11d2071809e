"""The guard as ASGI: in which order everything is checked, and what is refused how.

Owns that order. Outermost, so that no route, mounted app or socket can be reached past it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from comfy_mcp.callers import Principal, Right, principal_of, with_principal
from comfy_mcp.errors import WorkbenchError
from comfy_mcp.proxy.failures import Words
from comfy_mcp.proxy.guard.access import READING, SOCKET, is_at_hand, right_of
from comfy_mcp.proxy.guard.answers import Refusal, hardened, refused
from comfy_mcp.proxy.guard.arrivals import bounded, refusal_of
from comfy_mcp.proxy.guard.identity import Identity, tokens_in
from comfy_mcp.proxy.guard.places import Places
from comfy_mcp.proxy.guard.rates import Rates
from comfy_mcp.proxy.guard.revoking import until_revoked
from comfy_mcp.proxy.guard.rules import Rules
from comfy_mcp.proxy.guard.signed_in import from_own_page

__all__ = ["Guard"]

_BASIC = ("/sdapi/", "//sdapi/", "/comfyui/")
"""Where clients ask a person for a user and a password."""
_PROGRAMS = ("/mcp", "/v1/", "/comfyui/", "/sdapi/", "//sdapi/")
"""What only programs speak: a cookie is good for the page and its API."""
_TOLD = ["ETag", "Idempotent-Replayed", "Location", "Mcp-Session-Id", "Retry-After", "WWW-Authenticate"]
"""Headers of answers that pages of allowed origins may read."""
_PLAIN = Words()
_LINK, _NOBODY = "link", "nobody"
"""The names of those who come without a token, where none is needed."""


class Guard:
    """ASGI middleware, outermost. ``is_signed_link`` recognises links that carry their own permission, and ``words``
    say how the front doors tell a refusal."""

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        is_signed_link: Callable[[Scope], bool],
        identity: Identity | None = None,
        words: Words = _PLAIN,
    ) -> None:
        self.app = app
        self._rules = rules
        self._is_signed_link = is_signed_link
        self._words = words
        self._identity = identity or Identity(rules)
        self._rates, self._places = Rates(), Places()
        # A browser asks with OPTIONS, and without the token, whether a page may call.
        self._inner = _for_pages(self._admit, rules.origins) if rules.origins else self._admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        send = hardened(send, embeddable=self._is_signed_link(scope))
        refusal = refusal_of(scope, self._rules)
        await (self._inner if refusal is None else self._told(refusal, scope))(scope, receive, send)

    def _told(self, refusal: Refusal, scope: Scope) -> ASGIApp:
        return self._words.answer(scope, refusal.record, refusal.status, refusal.headers)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = bounded(scope, receive, self._rules)
        if is_at_hand(scope.get("method", SOCKET), scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            counted, refusal = await self._seen(scope)
        except WorkbenchError as failure:
            counted, refusal = "", Refusal(failure.record, failure.status)
        if refusal is not None:
            await self._told(refusal, scope)(scope, receive, send)
            return
        most = self._rules.most_open(principal_of(scope))
        with self._places.one(counted, most) as free:
            app = self._app_for(scope) if free else self._told(_crowded(most), scope)
            await app(scope, receive, send)

    def _app_for(self, scope: Scope) -> ASGIApp:
        """The application; for who came with a stored token, for as long as it is one."""
        principal = principal_of(scope)
        if principal == self._rules.owner or principal.name in (_LINK, _NOBODY):
            return self.app
        headers = Headers(scope=scope)

        async def still() -> bool:
            return await self._identity.of(headers) == principal

        return until_revoked(self.app, still)

    async def _seen(self, scope: Scope) -> tuple[str, Refusal | None]:
        """Under which name a caller is counted, and the refusal of who may not; else they are noted on the connection.

        Raises StorageUnavailable.
        """
        right = right_of(scope.get("method", SOCKET), scope["path"])
        principal, counted = await self._caller(scope, right)
        rate = self._rules.rate if principal is None or principal.rate is None else principal.rate
        if wait := self._rates.take(counted, rate):
            seconds = str(math.ceil(wait))
            hint = f"Ask again in {seconds} s."
            return counted, refused(429, "too_many", "Too many requests.", hint, retry_after=seconds)
        if principal is None or (principal.by_cookie and scope["path"].startswith(_PROGRAMS)):
            return counted, _unknown(scope)
        refusal = _not_theirs(scope, principal, right)
        if refusal is None:
            with_principal(scope, principal)
        return counted, refusal

    async def _caller(self, scope: Scope, right: Right | None) -> tuple[Principal | None, str]:
        """Who calls, None for nobody we know, and under which name their requests are counted."""
        address = f"from {(scope.get('client') or ('nowhere',))[0]}"
        if right is None:
            # By itself: behind a reverse proxy all have one address, and who asks in vain keeps nobody from this.
            return Principal(_NOBODY, _NOBODY, frozenset()), f"signing in {address}"
        if self._is_signed_link(scope):
            return Principal(_LINK, _NOBODY, frozenset({Right.MAKE})), address
        principal = await self._identity.of(Headers(scope=scope))
        # Visitors all go by one name.
        return principal, address if principal is None else f"{principal.name} of {principal.owner}"


def _not_theirs(scope: Scope, principal: Principal, right: Right | None) -> Refusal | None:
    """The refusal of a page that is not ours, and of who lacks the right."""
    reads = scope.get("method", SOCKET) in READING
    if principal.by_cookie and not reads and not from_own_page(Headers(scope=scope)):
        return refused(403, "wrong_origin", "That page may not do this for you.", "Do it on the workbench's page.")
    if right is not None and right not in principal.rights:
        hint = f"Make one with: comfy-workbench token add NAME --right {right}"
        return refused(403, "not_allowed", f"This token lacks the right {right!s}.", hint)
    return None


def _crowded(most: int) -> Refusal:
    message = f"{most} of your requests are being answered at once."
    return refused(429, "too_many", message, "Wait until some have ended, or close some.", retry_after="1")


def _unknown(scope: Scope) -> Refusal:
    """The refusal of who sent no token, or one that nobody has."""
    takes_basic = scope["path"].startswith(_BASIC)
    challenge = 'Bearer, Basic realm="workbench"' if takes_basic else "Bearer"
    if tokens_in(Headers(scope=scope).getlist("authorization")):
        hint = "Make one with: comfy-workbench token add NAME, and set it in the program that asks."
        return refused(401, "token_unknown", "This token is not known here.", hint, www_authenticate=challenge)
    hint = "Send Authorization: Bearer TOKEN" + (", or it as the password of Basic." if takes_basic else ".")
    return refused(401, "token_missing", "A token is needed.", hint, www_authenticate=challenge)


def _for_pages(app: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    # The headers are the caller's to choose (X-Comfy-*). Cookies are never ours, so no credentials.
    return CORSMiddleware(
        app, allow_origins=sorted(origins), allow_methods=methods, allow_headers=["*"], expose_headers=_TOLD
    )
