"""The table of what fits each chat is the one that the program goes by."""

from __future__ import annotations

import re

from comfy_mcp.profiles import PROFILES, Profile, profile_of
from tests.docs.pages import CLIENTS

_FORMATS = {"image/webp": "WebP", "image/jpeg": "JPEG"}
_COLUMNS = (
    "profile",
    "known by",
    "one picture",
    "one answer",
    "longer side",
    "formats",
    "waits",
    "links",
    "link blocks",
)


def row(profile: Profile) -> list[str]:
    return [
        profile.name,
        ", ".join(f"`{part}`" for part in profile.known_as),
        f"{profile.picture_bytes:,}".replace(",", " "),
        f"{profile.answer_bytes:,}".replace(",", " "),
        str(profile.side),
        ", ".join(_FORMATS[mime] for mime in profile.formats),
        f"{profile.wait:g} s",
        "yes" if profile.links else "no",
        "yes" if profile.resource_links else "no",
    ]


def test_the_table_is_that_of_the_program() -> None:
    table = re.search(r"^\| profile \|.*?\n\n", (CLIENTS / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert table
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].strip().splitlines()]
    assert head == [*_COLUMNS]
    assert rows == [row(profile) for profile in (*PROFILES, profile_of(""))]
