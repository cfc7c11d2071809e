"""What chatty models put around an answer: fences, "Here is …:", labels, quotes, offers of more. Taken off here.

Knows nothing of what was asked. For the nodes whose text goes on into a graph. A long text takes a twentieth of a
second, so they call it in a thread.
"""

from __future__ import annotations

import re

__all__ = ["bare"]

_MOST_LETTERS = 200_000
"""Of an answer that is looked into; a longer one has no wrapping that matters."""

_MOST_LAYERS = 8
"""Labels and quotes around each other that are taken off: each costs a copy of the text."""

# Every pattern reads a text once, whatever is in it: a model may write nothing but newlines.
_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok)(?: thing)?[,.!:]+\s*)?"
    r"(?:here(?:'s|’s| is| are)\b[^\n:]{0,120}:\s*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(\*\*|__)?[#\s]*(?:(?:final|expanded|improved|image|positive|detailed|training)\s+)?"
    r"(?:prompt|caption|description|tags|alt text|translation)(?:\*\*|__)?\s*:(?(1)(?:\*\*|__)?)\s*",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\n[^\S\n]*\n"
    r"(?:let me know|feel free|i hope|would you like|if you(?:'d| would) like|is there anything|this prompt)\b",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»", "`": "`", "**": "**"}


def bare(text: str) -> str:
    """The answer without its wrapping; the same when it has none."""
    if len(text) > _MOST_LETTERS:
        return text.strip()
    fenced = _FENCE.search(text)
    inner = _after(_OPENING, (fenced[1] if fenced else text).strip())
    closing = _CLOSING.search(inner)
    inner = (inner[: closing.start()] if closing else inner).strip()
    for _ in range(_MOST_LAYERS):
        peeled = _unquoted(_after(_LABEL, inner))
        if peeled == inner:
            break
        inner = peeled
    return inner


def _after(beginning: re.Pattern[str], text: str) -> str:
    found = beginning.match(text)
    return text[found.end() :].strip() if found else text


def _unquoted(text: str) -> str:
    """Without quotes around the whole; those around its first and last words stay."""
    for opening, closing in _QUOTES.items():
        inner = text.removeprefix(opening).removesuffix(closing)
        whole = len(inner) == len(text) - len(opening) - len(closing)
        if whole and opening not in inner and closing not in inner:
            return inner.strip()
    return text
