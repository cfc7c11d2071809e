"""What we hand out and later believe: session ids and links to pictures, signed with one key of the data folder.

Owns the key file. Knows neither sessions nor pictures. Used by server and proxy.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from comfy_mcp.errors import StorageUnavailable

__all__ = ["Signer"]

_KEY_BYTES = 32


class Signer:
    """Signs small JSON values; every ``purpose`` has signatures of its own, so that one never passes for another."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_folder(cls, data: Path) -> Signer:
        """Read the key of the data folder, or make it, readable by its owner alone.

        Raises:
            StorageUnavailable: the folder cannot be read or written.
        """
        path = data / "signing.key"
        try:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            else:
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
            key = path.read_bytes()
        except OSError as failure:
            raise StorageUnavailable(
                "The key that signs links cannot be read or made.",
                hint="Check the rights of the folder WORKBENCH_DATA.",
            ) from failure
        if len(key) < _KEY_BYTES:
            raise StorageUnavailable(
                "The key that signs links is damaged.", hint="Delete signing.key in the folder WORKBENCH_DATA."
            )
        return cls(key)

    def sign(self, purpose: str, value: Any) -> str:
        """A URL-safe text that `read` turns back into ``value``."""
        return URLSafeSerializer(self._key, salt=purpose).dumps(value)

    def read(self, purpose: str, text: str) -> Any | None:
        """The signed value, or None when we did not sign this for this purpose."""
        try:
            return URLSafeSerializer(self._key, salt=purpose).loads(text)
        except BadData:
            return None

    def mark(self, purpose: str, secret: bytes) -> str:
        """By which the same secret is known again, and from which nobody without our key can guess it."""
        return hmac.new(self._key, purpose.encode() + b"\0" + secret, hashlib.sha256).hexdigest()[:32]

    def sign_for_a_while(self, purpose: str, value: Any) -> str:
        """Like `sign`, with the time of signing inside."""
        return str(URLSafeTimedSerializer(self._key, salt=purpose).dumps(value))

    def read_recent(self, purpose: str, text: str, seconds: int) -> Any | None:
        """The value signed at most ``seconds`` ago, or None."""
        try:
            return URLSafeTimedSerializer(self._key, salt=purpose).loads(text, max_age=seconds)
        except BadData:
            return None
