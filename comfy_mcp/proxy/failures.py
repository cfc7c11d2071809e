"""Our errors over HTTP: one shape for all front doors, and another where the clients of a front door read another.

Owns the translation of every exception that a request may end with. Each front door says how it words a failure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from comfy_mcp.errors import ErrorRecord, InternalError, Overloaded, WorkbenchError

__all__ = ["Shown", "Wording", "Words", "failure_body", "translate_failures"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30

Wording = Callable[[ErrorRecord, int], Mapping[str, Any]]
"""The JSON body of a failure with its status."""

Shown = Callable[[Scope, ErrorRecord, int], Response | None]
"""The answer of a front door that people look at; None for what is not asked of it."""


def failure_body(record: ErrorRecord, status: int) -> dict[str, Any]:
    """The shape of an error where nothing else is expected."""
    return {"error": {"code": record.code, "message": record.message, "hint": record.hint, "details": record.details}}


@dataclass(frozen=True, slots=True)
class Words:
    """How failures are told, by what a path begins with; where nothing is said, as `failure_body` does.

    ``statuses`` are, by the same keys, what is answered in the place of a status that the clients there do not expect.
    ``shown`` is asked first.
    """

    wordings: Mapping[str, Wording] = field(default_factory=dict[str, Wording])
    statuses: Mapping[str, Mapping[int, int]] = field(default_factory=dict[str, Mapping[int, int]])
    shown: Shown | None = None

    def answer(
        self, scope: Scope, record: ErrorRecord, status: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The answer to a request that ended so."""
        if self.shown is not None and (page := self.shown(scope, record, status)) is not None:
            page.headers.update(headers or {})
            return page
        path: str = scope["path"]
        word = next((word for start, word in self.wordings.items() if path.startswith(start)), failure_body)
        others = (others.get(status) for start, others in self.statuses.items() if path.startswith(start))
        status = next(others, None) or status
        return JSONResponse(word(record, status), status, headers)


def translate_failures(app: FastAPI, words: Words) -> None:
    """Answer every failure in JSON, in these words."""

    def told(request: Request, record: ErrorRecord, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return words.answer(request.scope, record, status, headers)

    async def ours(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, WorkbenchError)
        busy = isinstance(failure, Overloaded) or failure.status == 503
        # OpenAI's clients ask again of themselves whatever ends with 500 or more: also for what a person has cancelled.
        headers = {"X-Should-Retry": "false"} if failure.status >= 500 else None
        if busy:
            headers = {"Retry-After": str(failure.details.get("retry_after", _RETRY_SECONDS))}
        return told(request, failure.record, failure.status, headers)

    async def theirs(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        return told(request, ErrorRecord("http_error", str(failure.detail)), failure.status_code, failure.headers)

    async def invalid(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, RequestValidationError)
        first = failure.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return told(request, ErrorRecord("bad_request", f"{where}: {first['msg']}."), 422)

    async def gone(request: Request, failure: Exception) -> Response:
        # Nobody reads it; the number is what proxies note for a client that hung up.
        return Response(status_code=499)

    async def defect(request: Request, failure: Exception) -> Response:
        log.error("A request hit a defect.", exc_info=failure)
        return told(request, InternalError().record, 500)

    app.add_exception_handler(WorkbenchError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, defect)
