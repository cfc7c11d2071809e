"""What never gets into a log: keys, tokens, signatures of links, pictures as text, and anything that forges a line.

Owns the patterns and the filter. Used where logging is set up and where the workbench listens.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_mcp.settings import Settings

__all__ = ["Redaction", "redacting", "secrets_of"]

_HIDDEN = "[hidden]"
_OF_BUCKETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""What the library of buckets reads of itself."""
_SHORTEST = 6
"""A shorter secret would hide ordinary words; none that is good for anything is so short."""

_PATTERNS = (
    (
        re.compile(r"""(authorization['"]?\s*[:=,]\s*(?:b?['"])?)(?:(?:bearer|basic)\s+)?[^\s'",)]+""", re.I),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I), rf"\1 {_HIDDEN}"),
    (re.compile(r"\bwb_[\w-]{16,}"), _HIDDEN),
    (re.compile(r"\bsk-[\w-]{8,}"), _HIDDEN),
    (re.compile(r"\b(signature|api[_-]?key|access[_-]token|password)=[^&\s'\"\\]+", re.I), rf"\1={_HIDDEN}"),
    (re.compile(r"(/enter/)[\w.-]{16,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"://[^/\s@]+@"), f"://{_HIDDEN}@"),
    (re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}"), "[base64]"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Redaction(logging.Filter):
    """Rewrites every record of a handler. ``secrets`` is asked each time, since settings change."""

    def __init__(self, secrets: Callable[[], Iterable[str]] = tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._line(_message(record)), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        # The text stands for the exception: another formatter would write that out again as it is.
        record.exc_info = None
        record.exc_text = record.exc_text and self._lines(record.exc_text)
        record.stack_info = record.stack_info and self._lines(record.stack_info)
        return True

    def _lines(self, text: str) -> str:
        # Indented, so that no line of a message can look like a record.
        return "\n".join(f"  {self._line(line)}" for line in text.splitlines())

    def _line(self, text: str) -> str:
        for secret in sorted(self._secrets(), key=len, reverse=True):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, _HIDDEN)
        for pattern, words in _PATTERNS:
            text = pattern.sub(words, text)
        return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


@contextmanager
def redacting(secrets: Callable[[], Iterable[str]]) -> Generator[None]:
    """Redact for the length of the block what the handlers there are now write."""
    redaction = Redaction(secrets)
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort else [])]
    for handler in handlers:
        handler.addFilter(redaction)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(redaction)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret that the settings hold or name."""
    held = (settings.token, settings.comfyui_authorization, *(each.authorization for each in settings.backends))
    told = [each.get_secret_value() for each in held if each is not None]
    # What follows the scheme is what must not be seen.
    parts = [part for value in told for part in value.split()]
    named = [os.environ.get(each.key_env or "", "") for each in settings.all_llm_servers]
    named += [os.environ.get(name, "") for name in _OF_BUCKETS]
    return (*told, *parts, *named)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return str(record.msg)
