"""Addresses for a browser that has no token: of pictures, and of a person's form; signed, and for a while."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import Scope

from comfy_mcp.callers import Principal, principal_of
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.settings import Settings
from comfy_mcp.signing import Signer

__all__ = ["FORM_LINK", "LINK", "Links", "base_of", "own_mark"]

_PURPOSE = "asset-link"
FORM_LINK = "form-link"
"""What links to a form are signed for."""
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
        told = {"owner": owner, "path": f"/tools/{job.template}?job={job.id}", "by": self._by(request)}
        return f"{base}{_ENTRANCE}{self._signer.sign_for_a_while(FORM_LINK, told)}"

    def _by(self, request: Request | None) -> dict[str, str]:
        """Whose token the link hangs on: when that is revoked, it is no longer good."""
        caller = Principal() if request is None else principal_of(request.scope)
        if caller.mark:
            return {"token": caller.name, "mark": caller.mark}
        own = self._settings.token
        return {"own": own_mark(self._signer, own.get_secret_value() if own else None)}

    def _base(self, request: Request | None) -> str | None:
        return self._settings.public_url if request is None else base_of(request, self._settings)

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


def base_of(request: Request, settings: Settings) -> str:
    """Where who asks reaches us, without a slash at its end: `public_url`, or as this request did."""
    return settings.public_url or f"{request.url.scheme}://{request.headers['host']}"


def own_mark(signer: Signer, token: str | None) -> str:
    """What cookies and links hold in the place of the token of the settings."""
    return signer.mark("own-token", (token or "").encode())
