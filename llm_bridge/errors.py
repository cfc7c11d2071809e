"""Every error that the bridge raises on purpose, and what each means for who asked.

Knows no other module; everyone may raise from it. `temporary` errors may pass by themselves.

    BridgeError
    ├── BadInput               the caller can mend it: an unknown name, a file that cannot be read, a value out of range
    │   ├── UnknownModel       no server offers a model of this name
    │   ├── ContextExceeded    the messages are longer than the model's window
    │   ├── NotSupported       the model or its server cannot do this (pictures, tools, loading)
    │   └── NotInstalled       an optional package is missing
    ├── ServerError            the server could not, and says why
    │   ├── ServerUnavailable  it does not answer
    │   ├── ServerBusy         it has no room now; the detail ``retry_after`` is seconds
    │   ├── ServerLost         it went away in the middle of an answer
    │   ├── KeyRefused         it wants another key
    │   ├── RequestRefused     it does not take the request
    │   └── LoadFailed         it could not load the model
    ├── TimedOut               too slow; the detail ``stage`` is connect, load, first_token or idle
    └── BadAnswer              what came is not what the protocol says
        └── SchemaMismatch     the model's answer is not what the JSON Schema asks for
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BadAnswer",
    "BadInput",
    "BridgeError",
    "ContextExceeded",
    "KeyRefused",
    "LoadFailed",
    "NotInstalled",
    "NotSupported",
    "RequestRefused",
    "SchemaMismatch",
    "ServerBusy",
    "ServerError",
    "ServerLost",
    "ServerUnavailable",
    "TimedOut",
    "UnknownModel",
]


class BridgeError(Exception):
    """Base of the tree. ``message`` says what happened, ``hint`` what to do next; neither holds a key or a path."""

    code: ClassVar[str] = "bridge_error"
    temporary: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = {name: value for name, value in details.items() if value is not None}

    def __str__(self) -> str:
        # What a server says may be no whole sentence.
        end = "" if not self.hint or self.message.rstrip().endswith((".", "!", "?", ":", "…", "。")) else "."
        return f"{self.message}{end} {self.hint}".strip()

    def leave_out(self, secret: str) -> None:
        """Take a secret out of what a server said."""
        self.message = self.message.replace(secret, "[key]")
        self.args = (self.message,)


class BadInput(BridgeError):
    code = "bad_input"


class UnknownModel(BadInput):
    code = "unknown_model"


class ContextExceeded(BadInput):
    """``details``: needed and window in tokens, as far as they are known."""

    code = "context_exceeded"


class NotSupported(BadInput):
    code = "not_supported"


class NotInstalled(BadInput):
    code = "not_installed"


class ServerError(BridgeError):
    code = "server_error"


class ServerUnavailable(ServerError):
    code = "server_unavailable"
    temporary = True


class ServerBusy(ServerError):
    code = "server_busy"
    temporary = True


class ServerLost(ServerError):
    code = "server_lost"
    temporary = True


class KeyRefused(ServerError):
    code = "key_refused"


class RequestRefused(ServerError):
    """``details``: status, the HTTP status."""

    code = "request_refused"


class LoadFailed(ServerError):
    code = "load_failed"


class TimedOut(BridgeError):
    code = "llm_timed_out"


class BadAnswer(BridgeError):
    code = "bad_answer"


class SchemaMismatch(BadAnswer):
    """``details``: problems, what the schema does not allow; text, the beginning of the answer."""

    code = "schema_mismatch"
