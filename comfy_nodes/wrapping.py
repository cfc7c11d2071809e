"""What chatty models put around an answer: fences, "Here is …:", labels, quotes, offers of more. Taken off here.

Knows nothing of what was asked. For the nodes whose text goes on into a graph.
"""

from __future__ import annotations

import re

__all__ = ["bare"]

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_OPENING = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok)(?: thing)?[,.!:]+\s*)?"
    r"(?:here(?:'s|’s| is| are)\b[^\n:]{0,120}:\s*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(\*\*|__)?[#\s]*(?:(?:final|expanded|improved|image|positive|detailed|training)\s+)?"
    r"(?:prompt|caption|description|tags|alt text|translation)(?:\*\*|__)?\s*:(?(1)(?:\*\*|__)?)\s*",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\n\s*\n(?:let me know|feel free|i hope|would you like|if you(?:'d| would) like|is there anything|this prompt)\b"
    r".*$",
    re.IGNORECASE | re.DOTALL,
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»", "`": "`", "**": "**"}


def bare(text: str) -> str:
    """The answer without its wrapping; the same when it has none."""
    found = _FENCE.search(text)
    inner = (found.group(1) if found else text).strip()
    inner = _CLOSING.sub("", _OPENING.sub("", inner, count=1))
    while (peeled := _unquoted(_LABEL.sub("", inner, count=1).strip())) != inner:
        inner = peeled
    return inner


def _unquoted(text: str) -> str:
    """Without quotes around the whole; those around its first and last words stay."""
    for opening, closing in _QUOTES.items():
        inner = text.removeprefix(opening).removesuffix(closing)
        whole = len(inner) == len(text) - len(opening) - len(closing)
        if whole and opening not in inner and closing not in inner:
            return inner.strip()
    return text
