"""Addresses of pictures: plain for callers with the token, signed and expiring for a browser that has none."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import Scope

from comfy_mcp.jobs import Asset
from comfy_mcp.settings import Settings
from comfy_mcp.signing import Signer

__all__ = ["LINK", "Links"]

_PURPOSE = "asset-link"
_PATH = "/api/v1/assets/"
LINK = re.compile(_PATH + r"([A-Za-z0-9_-]{1,64})")
"""The path of a picture, with its id."""


class Links:
    """Makes and recognises links. Signed ones work as long as the setting `link_expiry` says."""

    def __init__(self, settings: Settings, signer: Signer) -> None:
        self._settings = settings
        self._signer = signer

    def path(self, asset: Asset) -> str:
        return _PATH + asset.id

    def public(self, asset: Asset, request: Request | None) -> str | None:
        """A link that a person can open: under `public_url`, or the listener that the caller used; else None."""
        base = self._settings.public_url
        if base is None and request is not None:
            base = f"{request.url.scheme}://{request.headers['host']}"
        if base is None:
            return None
        return f"{base}{_PATH}{asset.id}?signature={self._signer.sign_for_a_while(_PURPOSE, asset.id)}"

    def is_signed(self, scope: Scope) -> bool:
        """Whether this is a request for one picture whose link we signed lately."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(_PATH):
            return False
        signatures = parse_qs(scope["query_string"].decode("latin-1")).get("signature", [])
        asset = scope["path"].removeprefix(_PATH)
        return (
            len(signatures) == 1
            and self._signer.read_recent(_PURPOSE, signatures[0], int(self._settings.link_expiry)) == asset
        )
