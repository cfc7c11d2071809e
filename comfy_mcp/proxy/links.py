"""Addresses for a browser that has no token: of pictures, and of a person's form; signed, and for a while."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import Scope

from comfy_mcp.jobs import Asset, Job
from comfy_mcp.settings import Settings
from comfy_mcp.signing import Signer

__all__ = ["LINK", "Links"]

_PURPOSE, _FORM = "asset-link", "form-link"
_PATH, _ENTRANCE = "/api/v1/assets/", "/enter/"
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
        if (base := self._base(request)) is None:
            return None
        return f"{base}{_PATH}{asset.id}?signature={self._signer.sign_for_a_while(_PURPOSE, asset.id)}"

    def form(self, job: Job, owner: str, request: Request | None) -> str | None:
        """A link to the form of the job's template with what it was made of, as ``owner``; else as `public`."""
        if (base := self._base(request)) is None:
            return None
        told = {"owner": owner, "path": f"/tools/{job.template}?job={job.id}"}
        return f"{base}{_ENTRANCE}{self._signer.sign_for_a_while(_FORM, told)}"

    def visit(self, signature: str) -> tuple[str, str] | None:
        """The owner and the path of a link to a form; None when we did not sign it lately."""
        told = self._signer.read_recent(_FORM, signature, int(self._settings.link_expiry))
        return None if told is None else (str(told["owner"]), str(told["path"]))

    def _base(self, request: Request | None) -> str | None:
        base = self._settings.public_url
        if base is None and request is not None:
            base = f"{request.url.scheme}://{request.headers['host']}"
        return base

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
