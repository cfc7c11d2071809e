"""What each chat client can take: how much picture, in which format, for how long it waits, and what it shows.

Owns the table, by the name that a client gives itself in the handshake. What is not known of a client is assumed to be
as little as any of them takes. Where the figures come from is in docs/clients/README.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PROFILES", "Profile", "profile_named", "profile_of"]

_WEBP, _JPEG = ("image/webp", "image/jpeg"), ("image/jpeg", "image/webp")
_SIGNS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Profile:
    """``picture_bytes`` is for one inline picture and ``answer_bytes`` for all of an answer, before base64;
    ``side`` is the longer side in pixels. ``wait`` is seconds until a job that is not ready is answered with its id.
    ``links`` and ``resource_links`` tell whether the original is linked in the text, and as a block of its own.
    ``known_as`` are parts of the names that the client goes by, in small letters and digits.
    """

    name: str
    known_as: tuple[str, ...] = ()
    picture_bytes: int = 150_000
    answer_bytes: int = 700_000
    side: int = 1568
    formats: tuple[str, ...] = _JPEG
    wait: float = 50.0
    links: bool = True
    resource_links: bool = False


PROFILES = (
    # Local vision models in llama.cpp read no WebP; clients that hand them pictures as they are get JPEG.
    Profile("librechat", ("librechat",), formats=_WEBP, side=2000),
    Profile("lobehub", ("lobehub", "lobechat"), formats=_WEBP, side=2000),
    # Its client library says only "mcp"; its headers tell. It waits for 300 s without a word.
    Profile("open-webui", ("openwebui",), wait=240.0, side=2000),
    Profile("claude-code", ("claudecode",), picture_bytes=100_000, side=1024, formats=_WEBP),
    # Anthropic's cloud cannot open an address of this machine; Claude Desktop can.
    Profile("claude.ai", ("anthropicclaudeai", "claudeaiweb", "anthropictoolbox"), formats=_WEBP, links=False),
    Profile("claude-desktop", ("claudeai", "claudedesktop"), formats=_WEBP, resource_links=True),
    Profile("lm-studio", ("lmstudio",)),
    # Gives up after 30 s, unless a person changed it. Over stdio it goes by the name of its library.
    Profile("jan", ("janstreamable", "jansse", "janai", "rmcp"), wait=25.0),
    Profile("cursor", ("cursor",), formats=_WEBP, resource_links=True),
    Profile("vs-code", ("visualstudiocode", "vscode"), formats=_WEBP, resource_links=True),
)

_UNKNOWN = Profile("unknown")


def profile_named(name: str) -> Profile | None:
    """The profile of this name, as a setting or a header gives it; None when there is none."""
    return next((profile for profile in (*PROFILES, _UNKNOWN) if profile.name == name), None)


def profile_of(client: str) -> Profile:
    """The profile of a client by the name that it gives itself; the first that fits."""
    told = _SIGNS.sub("", client.lower())
    return next((profile for profile in PROFILES if any(part in told for part in profile.known_as)), _UNKNOWN)
