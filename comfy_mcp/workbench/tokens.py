"""Tokens: what lets others in over HTTP, each with whose jobs it makes, what it may, and how much.

Owns how they are kept and looked up. Asked by the guard for every request, and by the command line to change them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from comfy_mcp.callers import OWN, Principal, Right
from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.settings import Settings, is_loopback
from comfy_mcp.store import Record, SqliteStore

__all__ = ["Token", "Tokens"]

_KIND, _KEPT_UNDER = "token", ""
_PREFIX, _RANDOM_BYTES = "wb_", 32
_FRESH_SECONDS = 1.0
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")
_OWNER = re.compile(r"[\w][\w@.:+ -]{0,127}")
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, without the token. Jobs that come with it are those of ``owner``, "" for the one that
    is called as the token: who shall share the jobs of another device, or those of the machine, says so. ``rate`` is
    requests a minute, 0 for any number; ``waiting`` is how many jobs of the owner, and how many of the chats whose
    clients wait, may wait; None for the settings'. ``created`` is seconds since 1970."""

    name: str
    owner: str = ""
    rights: frozenset[Right] = frozenset({Right.MAKE})
    rate: int | None = None
    waiting: int | None = None
    created: float = 0.0

    @property
    def whose(self) -> str:
        """Whose jobs come with it."""
        return self.owner or self.name


class Tokens:
    """The tokens of a data folder. What another process changes counts here within a second; ``clock`` is monotonic."""

    def __init__(self, store: SqliteStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: Mapping[bytes, Principal] = {}
        self._waiting: Mapping[str, int] = {}
        self._stale_at = float("-inf")
        self._reading = anyio.Lock()

    async def add(self, token: Token) -> str:
        """Keep a new token and give it, this once.

        Raises:
            InvalidParameter: the name is taken or none, the owner is none, or there are 1000 already.
        """
        _check(token)
        kept = await self._store.records(_KEPT_UNDER, _KIND)
        if token.name in kept:
            raise InvalidParameter("name", f"There is a token {token.name!r}.", hint="Revoke it, or take another name.")
        if len(kept) >= _MOST:
            raise InvalidParameter("name", f"There are {_MOST} tokens already.", hint="Revoke some.")
        given = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        value = {
            "hash": _hash(given.encode()).hex(),
            "owner": token.whose,
            "rights": sorted(token.rights),
            "rate": token.rate,
            "waiting": token.waiting,
            "created": time.time(),
        }
        await self._store.keep_record(Record(_KEPT_UNDER, _KIND, token.name, value))
        self._stale_at = float("-inf")
        return given

    async def all(self) -> list[Token]:
        """Every token, by name."""
        kept = await self._store.records(_KEPT_UNDER, _KIND)
        return [_token(name, value) for name, value in sorted(kept.items())]

    async def revoke(self, name: str) -> None:
        """From now on the token is none. Raises NotFound."""
        if not await self._store.drop_record(_KEPT_UNDER, _KIND, name):
            raise NotFound(f"There is no token {name[:64]!r}.", hint="comfy-workbench token list shows them.")
        self._stale_at = float("-inf")

    async def exist(self) -> bool:
        """Whether there is any token."""
        return bool(await self._current())

    async def demanded(self, settings: Settings) -> bool:
        """Whether a caller must send a token: the settings have one, others reach us, or there is any of ours."""
        return settings.token is not None or not is_loopback(settings.host) or await self.exist()

    async def most_waiting(self, owner: str) -> int | None:
        """How many jobs of this owner may wait; None for as many as the settings say."""
        await self._current()
        return self._waiting.get(owner)

    async def principal(self, token: bytes) -> Principal | None:
        """Who has this token, as it was sent; None when it is none of ours."""
        digest = _hash(token)
        current = await self._current()
        return next((who for known, who in current.items() if hmac.compare_digest(known, digest)), None)

    async def marked(self, token: bytes) -> tuple[str, str] | None:
        """The name of a token, as it was sent, and a mark of it that is no secret; None when it is none of ours."""
        digest = _hash(token)
        current = await self._current()
        found = next((who for known, who in current.items() if hmac.compare_digest(known, digest)), None)
        return None if found is None else (found.name, found.mark)

    async def holder(self, name: str, mark: str) -> Principal | None:
        """Who has the token of this name, if ``mark`` is still its mark."""
        current = await self._current()
        return next((who for who in current.values() if (who.name, who.mark) == (name, mark)), None)

    async def _current(self) -> Mapping[bytes, Principal]:
        """Who has the token of each hash, read again once a second however much is asked."""
        if self._clock() >= self._stale_at:
            async with self._reading:
                await self._read()
        return self._known

    async def _read(self) -> None:
        now = self._clock()
        if now < self._stale_at:
            # Somebody read while we waited for our turn.
            return
        kept = await self._store.records(_KEPT_UNDER, _KIND)
        tokens = {bytes.fromhex(value["hash"]): _token(name, value) for name, value in kept.items()}
        self._known = {digest: _principal(token, digest) for digest, token in tokens.items()}
        self._waiting = _most_waiting(tokens.values())
        self._stale_at = now + _FRESH_SECONDS


def _hash(token: bytes) -> bytes:
    """Plain SHA-256, without salt or rounds: a token of ours is 256 random bits, so nobody can try them through."""
    return hashlib.sha256(token).digest()


def _mark(digest: bytes) -> str:
    return hashlib.sha256(b"mark " + digest).hexdigest()[:32]


def _token(name: str, value: Mapping[str, Any]) -> Token:
    # A right that this version does not know is none.
    rights = frozenset(right for right in Right if right in value["rights"])
    return Token(name, value["owner"], rights, value["rate"], value["waiting"], value["created"])


def _principal(token: Token, digest: bytes) -> Principal:
    return Principal(token.name, token.whose, token.rights, token.rate, mark=_mark(digest))


def _most_waiting(tokens: Iterable[Token]) -> dict[str, int]:
    """How many jobs of each owner may wait; of several tokens of one owner the smallest number counts."""
    most: dict[str, int] = {}
    for token in tokens:
        if token.waiting is not None:
            most[token.whose] = min(token.waiting, most.get(token.whose, token.waiting))
    return most


def _check(token: Token) -> None:
    """Raises InvalidParameter."""
    if not _NAME.fullmatch(token.name) or token.name in (OWN, "nobody", "link"):
        hint = f"Use up to 64 letters, digits, dots, - and _, but not {OWN}, nobody or link."
        raise InvalidParameter("name", "That is no name for a token.", hint=hint)
    if not _OWNER.fullmatch(token.whose):
        raise InvalidParameter("owner", "That is no owner.", hint="Use up to 128 letters, digits, spaces and @.:+_-")
    if token.waiting is not None and Right.USERS in token.rights:
        hint = "Set max_queue_per_owner instead, which holds for each user."
        raise InvalidParameter("waiting", "A token of many users cannot limit the jobs of one owner.", hint=hint)
