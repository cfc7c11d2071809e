"""Numbers and foreign text as a person can read them: units, "–" for what is unknown, controls made visible.

Pure. Used by every report but the CSV and the JSON, which keep what they are given.
"""

from __future__ import annotations

import re
from math import isfinite

__all__ = ["NONE", "count", "duration", "rate", "share", "visible", "whole"]

NONE = "–"

# What changes how text around it is shown, or is no text at all. Tabs and line feeds stay; so do the harmless marks
# that letters of some languages need.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")


def duration(seconds: float | None) -> str:
    """42 ms, 1.23 s, 2 min 05 s or 1 h 02 min."""
    if seconds is None or not isfinite(seconds):
        return NONE
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def rate(tokens_per_second: float | None) -> str:
    """45 tok/s, or 4.5 tok/s."""
    if tokens_per_second is None or not isfinite(tokens_per_second):
        return NONE
    return f"{tokens_per_second:,.{0 if tokens_per_second >= 9.95 else 1}f} tok/s"


def count(number: float | None) -> str:
    """1,204; a median of an even number of things may end in .5."""
    if number is None or not isfinite(number):
        return NONE
    return f"{number:,.1f}".removesuffix(".0")


def share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}" if whole else NONE


def whole(text: str) -> str:
    """The text without lone surrogates, which are no characters and cannot be written as UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def visible(text: str) -> str:
    """The text with marks in place of control characters, and every line break as a line feed."""
    text = re.sub("\r\n|[\r\x85\u2028\u2029]", "\n", text)
    return _UNSEEN.sub(_mark, text)


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"⟨U+{code:04X}⟩"
