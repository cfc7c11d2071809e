"""Names for files: what a download is called, and the key that it is stored under.

A key is the month, the name and twelve digits of the content's hash (``2026-11/cat-1234-3f2a9c0d11ee.png``): people can
read the folder, the same content of the same name is stored once, and other content never gets the same key. Used
inside assets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from string import Formatter

from comfy_mcp.errors import SettingsError

__all__ = ["FIELDS", "NamePattern", "key_for"]

FIELDS = ("template", "seed", "date", "job", "index", "width", "height")
_LONGEST = 120
_LONGEST_BYTES = 200
"""File systems take 255 bytes, a key adds thirteen and some suffix."""
_HASH_DIGITS = 12
_FORBIDDEN = re.compile(r'[\s/\\:*?"<>|]+')
_DOUBLED = re.compile(r"([-_.])[-_.]+")
_EDGES = " .-_~"
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


class NamePattern:
    """A pattern such as ``{template}-{seed}``; only plain fields of `FIELDS`. Raises SettingsError for others."""

    def __init__(self, pattern: str) -> None:
        try:
            self._parts = [
                (text, field)
                for text, field, spec, conversion in Formatter().parse(pattern)
                if _plain(spec, conversion)
            ]
        except ValueError:
            raise _unusable() from None
        if any(field is not None and field not in FIELDS for _, field in self._parts):
            raise _unusable()

    def stem(self, fields: Mapping[str, str | int]) -> str:
        """The name without a suffix, safe on every system; a field that is not there leaves no gap."""
        name = "".join(text + str(fields.get(field or "", "")) for text, field in self._parts)
        return _safe(name) or "file"


def key_for(stem: str, sha256: str, suffix: str, day: date) -> str:
    """Where this content is stored."""
    return f"{day:%Y-%m}/{stem}-{sha256[:_HASH_DIGITS]}{suffix}"


def _plain(spec: str | None, conversion: str | None) -> bool:
    if spec or conversion:
        raise _unusable()
    return True


def _unusable() -> SettingsError:
    known = " ".join(f"{{{field}}}" for field in FIELDS)
    return SettingsError("The setting `asset_name` cannot be used.", hint=f"It may hold text and {known}.")


def _safe(name: str) -> str:
    """One file name without separators, hidden starts, invisible letters or the names that Windows keeps."""
    composed = unicodedata.normalize("NFC", name)
    visible = "".join(
        letter for letter in composed if unicodedata.category(letter) not in _INVISIBLE or letter in "\t\n"
    )
    joined = _DOUBLED.sub(r"\1", _FORBIDDEN.sub("_", visible)).strip(_EDGES)
    short = joined[:_LONGEST].encode()[:_LONGEST_BYTES].decode(errors="ignore").rstrip(_EDGES)
    return f"_{short}" if _RESERVED.match(short) else short
