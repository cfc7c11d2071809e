"""What a server's refusal means: from status, headers and body to one of our errors, over all dialects.

Owns the one table of phrases. Bodies are JSON of several shapes (`{"error": {"message", "type", "code"}}`,
`{"error": "…"}`, `{"detail": …}`) or plain text; what is passed on is the server's own words, shortened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from llm_bridge.errors import (
    BridgeError,
    ContextExceeded,
    KeyRefused,
    LoadFailed,
    NotSupported,
    RequestRefused,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    UnknownModel,
)

__all__ = ["refusal", "refusal_in", "retry_after"]

_MOST_WORDS = 500
_MOST_RETRY_SECONDS = 300.0

_CONTEXT = re.compile(
    r"exceed_context_size|context_length_exceeded|exceeds? the (available )?context|maximum context length"
    r"|context (length|window|size) (of|exceed|is|was|overflow)|longer than the (maximum|model'?s) (model|context)"
    r"|input (length|is too long)|prompt is too long|requested tokens .* exceed|n_keep"
    r"|tokens to keep from the initial prompt",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|model .{0,200}(not found|does not exist|is not available|could not be found)"
    r"|(unknown|no such|invalid) model|no model(s)? (is |are )?loaded|model_not_loaded|try pulling it",
    re.IGNORECASE,
)
_IMAGES = re.compile(
    r"image input is not supported|does not support (image|vision|multimodal)|not a multimodal|mmproj"
    r"|required for image input|at most 0 image|image_url is only supported",
    re.IGNORECASE,
)
_TOOLS = re.compile(
    r"does not support (tools|tool use|thinking)|tools? .{0,40}not supported|tool choice requires|tools param requires",
    re.IGNORECASE,
)
_LOADING = re.compile(r"loading model|model is (still )?loading|is being loaded", re.IGNORECASE)
_LOAD = re.compile(
    r"failed to load (?!image|audio)|error loading model|unable to load model|model load|llama runner process"
    r"|process has terminated|unable to start process|more system memory|insufficient .{0,30}memory|out of memory",
    re.IGNORECASE,
)
_PROXY = "proxy error: Could not establish connection"
"""What llama.cpp's router answers, with status 500, for some moments after the process of a model died."""

_NUMBERS = {"n_prompt_tokens": "needed", "n_ctx": "window"}
_WINDOW = re.compile(
    r"(?:context length is|(?:context|model) (?:length|size|window) (?:of )?(?:only )?\(?|n_ctx \()\s*(\d+)",
    re.IGNORECASE,
)
_NEEDED = re.compile(
    r"(?:requested|resulted in|request has|at least|keep the first) (\d+)\b(?! output)"
    r"|(?:n_keep|requested tokens|request) \((\d+)|prompt \(length (\d+)",
    re.IGNORECASE,
)
_FOLDERS = re.compile(r"(?<![\w:/])/(?!v\d|api/)(?:[^\s/'\"]+/)+|\b[A-Za-z]:\\(?:[^\\'\"]+\\)+")
"""What a server tells of its disk is not passed on."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What the body says: ``words`` for people, ``kind`` all of type and code, ``error`` the object itself.

    ``by_api`` when it is a JSON object, as no web page is.
    """

    words: str = ""
    kind: str = ""
    error: Mapping[str, Any] = field(default_factory=dict[str, Any])
    by_api: bool = False

    @property
    def all(self) -> str:
        return f"{self.kind} {self.words}"


def refusal(server: str, status: int, headers: Mapping[str, str], body: bytes) -> BridgeError:
    """The error for an HTTP answer that is no success."""
    said = _read(body)
    words = said.words or f"HTTP status {status}"
    if status < 400:
        return RequestRefused(f"{server} has moved: {words}.", hint="Set the address that it moved to.", status=status)
    if status in (401, 403):
        by_api = said.by_api or headers.get("www-authenticate", "").lower().startswith("bearer") or None
        message = f"{server} wants another key: {words}"
        return KeyRefused(message, hint="Set the variable of its key.", status=status, by_api=by_api)
    if "insufficient_quota" in said.kind:
        return RequestRefused(f"{server} refuses: {words}", hint="Its account has nothing left.", status=status)
    if status in (429, 529) or (status == 503 and not _LOAD.search(_LOADING.sub("", said.all))):
        loading = bool(_LOADING.search(said.all)) or None
        hint = "Wait until the model is loaded." if loading else "Wait, then ask again."
        return ServerBusy(f"{server} is busy: {words}", hint=hint, retry_after=retry_after(headers), loading=loading)
    if (status in (502, 504) and not _LOAD.search(said.all)) or words.startswith(_PROXY):
        return ServerUnavailable(f"{server} cannot be reached behind its proxy: {words}", hint="Start it.")
    return _meant(server, status, said, words)


def refusal_in(server: str, error: Any) -> BridgeError:
    """The error for an error object inside an answer that began as a success."""
    try:
        body = json.dumps({"error": error}).encode()
    except RecursionError:
        body = b""
    code = _read(body).error.get("code")
    return refusal(server, code if isinstance(code, int) and 400 <= code <= 599 else 500, {}, body)


def _meant(server: str, status: int, said: _Said, words: str) -> BridgeError:
    if _CONTEXT.search(said.all):
        return _too_long(server, said, words)
    if _IMAGES.search(said.all):
        return NotSupported(f"{server}: {words}", hint="Choose a model with vision, or leave the pictures out.")
    if _TOOLS.search(said.all):
        return NotSupported(f"{server}: {words}", hint="Choose a model that can do this.")
    if status == 404 or _MODEL.search(said.all):
        return UnknownModel(f"{server}: {words}", hint="List its models to see what there is.", status=status)
    if _LOAD.search(said.all):
        return LoadFailed(f"{server} cannot load the model: {words}", hint="Choose a smaller one, or free memory.")
    if status >= 500:
        return ServerError(f"{server} failed: {words}", hint="Its log has more.", status=status)
    return RequestRefused(f"{server} refuses: {words}", hint="Change what it names, then ask again.", status=status)


def _too_long(server: str, said: _Said, words: str) -> ContextExceeded:
    numbers = {ours: said.error[theirs] for theirs, ours in _NUMBERS.items() if isinstance(said.error.get(theirs), int)}
    if not numbers:
        found = {"needed": _NEEDED.search(words), "window": _WINDOW.search(words)}
        numbers = {name: int(match[match.lastindex or 1]) for name, match in found.items() if match}
    return ContextExceeded(
        f"{server}: {words}", hint="Shorten the messages, or load the model with a larger context.", **numbers
    )


def _read(body: bytes) -> _Said:
    try:
        return _understood(body)
    except RecursionError:
        # What is nested that deep says nothing either.
        return _Said()


def _understood(body: bytes) -> _Said:
    text = body[: 64 * 1024].decode("utf-8", "replace").strip()
    try:
        told: Any = json.loads(text)
    except ValueError:
        # A page of HTML says nothing to anybody here.
        return _Said("" if text.startswith("<") else _short(text))
    error: Any = told
    if isinstance(told, dict):
        found = cast("dict[str, Any]", told)
        error = found.get("error") or found.get("detail") or found.get("message") or found
    if isinstance(error, dict):
        inner = cast("dict[str, Any]", error)
        words = inner.get("message") or inner.get("error") or inner.get("msg") or ""
        kind = " ".join(str(inner[name])[:_MOST_WORDS] for name in ("type", "code") if inner.get(name))
        return _Said(_short(str(words)), kind, inner, by_api=True)
    return _Said(_short(error if isinstance(error, str) else json.dumps(error)), by_api=isinstance(told, dict))


def _short(words: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in _FOLDERS.sub("…/", words)).strip()
    return shown if len(shown) <= _MOST_WORDS else shown[: _MOST_WORDS - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, at most five minutes; None when it does not say (RFC 9110, 10.2.3)."""
    told = headers.get("retry-after", "").strip()
    try:
        seconds = float(told)
    except ValueError:
        try:
            when = parsedate_to_datetime(told)
        except (ValueError, TypeError):
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), _MOST_RETRY_SECONDS) if seconds == seconds else None
