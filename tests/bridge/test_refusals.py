"""What servers really answer when they refuse, and which of our errors that is.

The bodies are those of Ollama, LM Studio, vLLM, llama.cpp, llama-cpp-python, KoboldCpp, llama-swap and OpenAI, from
their source, their trackers or a run.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from llm_bridge.errors import (
    BadAnswer,
    BadInput,
    BridgeError,
    ContextExceeded,
    KeyRefused,
    LoadFailed,
    NotInstalled,
    NotSupported,
    RequestRefused,
    SchemaMismatch,
    ServerBusy,
    ServerError,
    ServerLost,
    ServerUnavailable,
    TimedOut,
    UnknownModel,
)
from llm_bridge.refusals import refusal, refusal_in, retry_after
from llm_bridge.transport import http_failure

_LLAMA_LONG = {
    "error": {
        "code": 400,
        "message": "request (15020 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 15020,
        "n_ctx": 2048,
    }
}
_OPENAI_LONG = (
    "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 "
    "in the completion). Please reduce the length of the messages or completion."
)
_VLLM_LONG = (
    "This model's maximum context length is 262144 tokens. However, you requested 128000 output tokens and your prompt "
    "contains at least 134145 input tokens, for a total of at least 262145 tokens."
)
_LM_STUDIO_LONG = (
    "Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context "
    "length of only 7866 tokens, which is not enough. Try to load the model with a larger context length"
)

BODIES: list[tuple[int, Any, type[BridgeError]]] = [
    (400, _LLAMA_LONG, ContextExceeded),
    (400, {"error": {"message": _OPENAI_LONG, "code": "context_length_exceeded"}}, ContextExceeded),
    (400, {"object": "error", "message": _VLLM_LONG, "type": "BadRequestError", "code": 400}, ContextExceeded),
    (400, {"error": _LM_STUDIO_LONG}, ContextExceeded),
    (400, {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}, ContextExceeded),
    (
        400,
        {"error": {"message": "Requested tokens (4123) exceed context window of 2048", "code": None}},
        ContextExceeded,
    ),
    (
        400,
        {"error": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."},
        ContextExceeded,
    ),
    (400, {"error": "the input length exceeds the context length"}, ContextExceeded),
    (404, {"error": 'model "llama9" not found, try pulling it first'}, UnknownModel),
    (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, UnknownModel),
    (400, {"error": {"code": 400, "message": "model 'nope' not found", "type": "invalid_request_error"}}, UnknownModel),
    (404, {"error": {"message": "No models loaded. Please load a model.", "code": "model_not_found"}}, UnknownModel),
    (404, "404 page not found", UnknownModel),
    (
        500,
        {"error": {"code": 500, "message": "image input is not supported - hint: you may need to provide the mmproj"}},
        NotSupported,
    ),
    (400, {"error": "this model is missing data required for image input"}, NotSupported),
    (400, {"error": "Model does not support images. Please use a model that does."}, NotSupported),
    (400, {"message": "x is not a multimodal model", "object": "error"}, NotSupported),
    (400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}, NotSupported),
    (400, {"error": '"gemma:2b" does not support thinking'}, NotSupported),
    (400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice to be set'}}, NotSupported),
    (500, {"error": {"message": "tools param requires --jinja flag", "type": "server_error"}}, NotSupported),
    (500, {"error": "model requires more system memory (5.3 GiB) than is available (3.3 GiB)"}, LoadFailed),
    (500, {"error": "llama runner process has terminated: exit status 2"}, LoadFailed),
    (400, {"error": 'Failed to load model "qwen". Error: insufficient system resources.'}, LoadFailed),
    (500, "proxy error: Could not establish connection", ServerUnavailable),
    (502, "unable to start process: upstream command exited prematurely", LoadFailed),
    (400, {"error": {"code": 400, "message": "Failed to load image or audio file"}}, RequestRefused),
    (400, {"object": "error", "message": "max_tokens must be at least 1, got -186.", "code": 400}, RequestRefused),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}, RequestRefused),
    (302, "", RequestRefused),
    (429, {"error": {"message": "You exceeded your quota.", "type": "insufficient_quota"}}, RequestRefused),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, ServerBusy),
    (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, ServerBusy),
    (503, {"detail": {"msg": "Server is busy; please try again later.", "type": "service_unavailable"}}, ServerBusy),
    (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, ServerBusy),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, ServerBusy),
    (502, "<html><title>KoboldCpp is loading</title></html>", ServerUnavailable),
    (401, {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}, KeyRefused),
    (403, "Forbidden", KeyRefused),
    (500, "Internal Server Error", ServerError),
]
"""Status, body, and what it means."""

HTTPX: list[tuple[type[Exception], type[BridgeError]]] = [
    (httpx.ConnectTimeout, TimedOut),
    (httpx.PoolTimeout, TimedOut),
    (httpx.ReadTimeout, TimedOut),
    (httpx.WriteTimeout, TimedOut),
    (httpx.TimeoutException, TimedOut),
    (httpx.ConnectError, ServerUnavailable),
    (httpx.ProxyError, ServerUnavailable),
    (httpx.ReadError, ServerLost),
    (httpx.WriteError, ServerLost),
    (httpx.CloseError, ServerLost),
    (httpx.NetworkError, ServerLost),
    (httpx.RemoteProtocolError, ServerLost),
    (httpx.LocalProtocolError, BadInput),
    (httpx.UnsupportedProtocol, BadInput),
    (httpx.InvalidURL, BadInput),
    (httpx.DecodingError, BadAnswer),
    (httpx.TooManyRedirects, BadAnswer),
    (httpx.HTTPStatusError, BadAnswer),
    (httpx.ProtocolError, BadAnswer),
    (httpx.TransportError, BadAnswer),
    (httpx.RequestError, BadAnswer),
    (httpx.HTTPError, BadAnswer),
    (httpx.StreamError, BadAnswer),
    (httpx.StreamConsumed, BadAnswer),
    (httpx.StreamClosed, BadAnswer),
    (httpx.ResponseNotRead, BadAnswer),
    (httpx.RequestNotRead, BadAnswer),
]

ELSEWHERE = {NotInstalled, SchemaMismatch, BridgeError}
"""Not told by a server: proved in test_structured, and never raised itself."""


def _tree(root: type[BaseException]) -> set[type[BaseException]]:
    return {root}.union(*(_tree(child) for child in root.__subclasses__()))


def _raw(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@pytest.mark.parametrize(("status", "body", "expected"), BODIES)
def test_what_a_server_says_becomes_the_error_that_it_means(
    status: int, body: Any, expected: type[BridgeError]
) -> None:
    error = refusal("box", status, {}, _raw(body))
    assert type(error) is expected
    assert error.message.startswith("box")
    assert error.hint


@pytest.mark.parametrize(("failure", "expected"), HTTPX)
def test_each_failure_of_httpx_has_a_meaning(failure: type[Exception], expected: type[BridgeError]) -> None:
    error = http_failure("box", failure.__new__(failure))
    assert type(error) is expected
    assert error.hint


def test_no_failure_of_httpx_and_none_of_our_errors_is_forgotten() -> None:
    raised = {failure for failure, _ in HTTPX}
    assert _tree(httpx.HTTPError) | _tree(httpx.StreamError) | {httpx.InvalidURL} == raised
    meant = {expected for _, _, expected in BODIES} | {expected for _, expected in HTTPX}
    ours = {each for each in _tree(BridgeError) if each.__module__ == "llm_bridge.errors"}
    assert ours == meant | ELSEWHERE


@pytest.mark.parametrize(
    ("body", "needed", "window"),
    [
        (_LLAMA_LONG, 15020, 2048),
        ({"error": _OPENAI_LONG}, 4203, 4097),
        ({"error": _VLLM_LONG}, 134145, 262144),
        ({"error": _LM_STUDIO_LONG}, 10136, 7866),
        (
            {"error": "This model's maximum context length is 9 tokens. However, your request has 12 input tokens."},
            12,
            9,
        ),
        ({"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}, 15028, 7424),
        ({"error": "Requested tokens (4123) exceed context window of 2048"}, 4123, 2048),
        ({"error": "The prompt (length 5000) is longer than the maximum model length of 4096."}, 5000, 4096),
        ({"error": "the input length exceeds the context length"}, None, None),
    ],
)
def test_how_much_too_long_it_is_is_read_where_it_is_told(body: Any, needed: int | None, window: int | None) -> None:
    details = refusal("box", 400, {}, _raw(body)).details
    assert (details.get("needed"), details.get("window")) == (needed, window)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("llama runner process has terminated", LoadFailed),
        ({"message": "Loading model", "code": 503}, ServerBusy),
        ({"message": "exceeded", "code": "context_length_exceeded"}, ContextExceeded),
        ({"message": "Provider returned error", "code": 502}, ServerUnavailable),
        ({"message": "CUDA error", "type": "server_error"}, ServerError),
        (True, ServerError),
        ({}, ServerError),
    ],
)
def test_an_error_inside_a_success_means_the_same(error: Any, expected: type[BridgeError]) -> None:
    assert type(refusal_in("box", error)) is expected


def test_only_a_server_that_loads_is_waited_for_as_one() -> None:
    loading = refusal("box", 503, {}, b'{"error": {"message": "Loading model"}}')
    busy = refusal("box", 503, {"retry-after": "7"}, b'{"error": "server busy"}')
    assert loading.details == {"loading": True}
    assert busy.details == {"retry_after": 7.0}


def test_words_are_short_one_line_and_tell_nothing_of_the_servers_disk() -> None:
    said = (
        "error loading model: failed to load /home/ann/.ollama/models/blobs/sha256-6\nC:\\Users\\Ann B\\m.gguf \x1b[2J"
        + "x" * 9000
    )
    message = refusal("box", 500, {}, _raw({"error": said})).message
    assert len(message) < 600
    assert message.isprintable()
    assert "home" not in message
    assert "Users" not in message
    assert "…/sha256-6" in message
    url = "see https://platform.openai.com/docs/guides/errors and POST /v1/chat/completions"
    assert url in refusal("box", 400, {}, _raw({"error": url})).message


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b'{"error":' + b"[" * 60_000, b'{"error":' + b"[" * 900 + b"]" * 900 + b"}"]
)
def test_what_is_nested_too_deep_is_a_refusal_all_the_same(body: bytes) -> None:
    assert type(refusal("box", 500, {}, body)) is ServerError


def test_an_error_that_is_nested_too_deep_is_one_all_the_same() -> None:
    error: list[Any] = []
    for _ in range(5000):
        error = [error]
    assert type(refusal_in("box", error)) is ServerError


@pytest.mark.parametrize(
    ("headers", "body", "by_api"),
    [
        ({}, b'{"error": "Unauthorized"}', True),
        ({"www-authenticate": "Bearer"}, b"", True),
        ({"www-authenticate": 'Basic realm="router"'}, b"<html>Log in</html>", None),
        ({}, b"", None),
    ],
)
def test_it_is_told_whether_an_api_wants_the_key(headers: dict[str, str], body: bytes, by_api: bool | None) -> None:
    refused = refusal("box", 403, headers, body)
    assert isinstance(refused, KeyRefused)
    assert refused.details.get("by_api") == by_api


def test_a_page_of_html_says_nothing() -> None:
    assert "HTTP status 500" in refusal("box", 500, {}, b"<!doctype html><p>" + b"x" * 10**6).message


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("3", 3.0), ("0", 0.0), ("-5", 0.0), ("1e9", 300.0), ("nan", None), ("", None), ("soon", None), ("inf", 300.0)],
)
def test_retry_after_is_read_as_seconds_and_capped(told: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": told}) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert 17 < (retry_after({"retry-after": soon}) or 0) <= 20
    assert retry_after({"retry-after": past}) == 0.0
    assert retry_after({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}) == 300.0


def test_a_refusal_made_to_be_slow_to_read_holds_nobody_up() -> None:
    body, began = json.dumps({"error": {"type": "requested tokens " * 3_500}}).encode(), time.perf_counter()
    refusal("box", 400, {}, body)
    assert time.perf_counter() - began < 0.2
