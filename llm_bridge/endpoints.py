"""Where an LLM server is, as a person set it up. The key stays in the environment and is read when it is needed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from llm_bridge.errors import BadInput

__all__ = ["Endpoint"]

_VERSION = re.compile(r"/v\d+$")
_VERSION_INSIDE = re.compile(r"/v\d\w*(/|$)")
_UNUSABLE = re.compile(r"[?#\s\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url`` is where the server answers, with or without `/v1`; one with a version in the middle of its path, such as
    `/v1beta/openai`, is taken as the address of the protocol itself. ``kind`` is a dialect, None to find out.

    ``key_env`` names the environment variable that holds the key. ``slots`` requests run at once; ``max_loaded``
    models are kept in memory at most, None for as many as the server likes. ``card`` names what it computes on.
    ``cost`` is what an answer costs, in units of the person's own: the router takes the cheaper.
    """

    name: str
    url: str
    kind: str | None = None
    key_env: str | None = None
    slots: int = 1
    max_loaded: int | None = 1
    card: str = ""
    cost: float = 0.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or _UNUSABLE.search(self.url):
            raise BadInput(f"The address of {self.name} is no address.", hint="Example: http://127.0.0.1:1234")
        if "@" in urlsplit(self.url).netloc:
            raise BadInput(f"The address of {self.name} holds a password.", hint="Name a variable for the key instead.")

    @property
    def root(self) -> str:
        """The address without `/v1` and without a slash at the end."""
        return _VERSION.sub("", self.url.rstrip("/"))

    @property
    def version(self) -> str:
        """What follows `root` before the paths of the OpenAI protocol: `/v1`, or what the address says."""
        found = _VERSION.search(self.url.rstrip("/"))
        if found:
            return found.group()
        return "" if _VERSION_INSIDE.search(urlsplit(self.url).path) else "/v1"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            # The unspecified address is what servers print that listen everywhere.
            return (address := ip_address(host)).is_loopback or address.is_unspecified
        except ValueError:
            return False

    @property
    def key(self) -> str | None:
        """The key, None when there is to be none. Raises BadInput: the variable is not set, or fits no header."""
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env)
        if not key:
            raise BadInput(
                f"The key of {self.name} is missing.", hint=f"Set the environment variable {self.key_env} to it."
            )
        if not (key.isascii() and key.isprintable()):
            raise BadInput(f"The key of {self.name} has characters that no header can hold.", hint="Copy it again.")
        return key
