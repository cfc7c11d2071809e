"""Which kind a server is: every dialect against a server of every kind, and against what is no LLM server."""

from __future__ import annotations

import socket
import time

import pytest

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, BadInput, BridgeError, KeyRefused, ServerBusy, ServerUnavailable, TimedOut
from llm_bridge.providers import Dialect
from llm_bridge.providers.openai import OpenAICompatible
from llm_bridge.providers.registry import DIALECTS, detect, dialect_named
from llm_bridge.transport import Timeouts, Transport
from tests.bridge.providers.kinds import KINDS
from tests.bridge.providers.scripted import recorded
from tests.bridge.servers import Answer, End, json_answer, scripted

PAGE = b"<!DOCTYPE html><html><body>Hello</body></html>"
PAGES = (
    "/",
    "/running",
    "/openapi.json",
    "/props",
    "/version",
    "/v1/models",
    "/models",
    "/api/tags",
    "/api/version",
    "/api/v0/models",
    "/api/v1/models",
    "/api/v1/model",
    "/api/extra/version",
    "/v1/internal/model/info",
    "/v1/internal/health",
)


async def _kind(url: str, **timeouts: float) -> type[Dialect]:
    async with Transport.open(Endpoint("box", url), Timeouts(**timeouts)) as transport:
        return await detect(transport)


@pytest.mark.parametrize("name", KINDS)
async def test_every_server_is_taken_for_what_it_is(name: str) -> None:
    async with scripted() as script:
        KINDS[name](script)
        assert (await _kind(script.url)).kind == name.partition(" ")[0]
        assert (await _kind(f"{script.url}/v1")).kind == name.partition(" ")[0]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.kind)
@pytest.mark.parametrize("name", KINDS)
async def test_no_dialect_takes_a_server_of_another_kind_for_its_own(name: str, dialect: type[Dialect]) -> None:
    own = dialect.kind == name.partition(" ")[0]
    if dialect is OpenAICompatible and not own:
        # It is asked last, and many speak it.
        return
    async with scripted() as script:
        KINDS[name](script)
        async with Transport.open(Endpoint("box", script.url)) as transport:
            try:
                recognised = await dialect.recognises(transport)
            except BridgeError:
                recognised = False
    assert recognised is own


def test_kinds_and_their_names_are_their_own() -> None:
    assert len({dialect.kind for dialect in DIALECTS}) == len(DIALECTS)
    assert len({dialect.title for dialect in DIALECTS}) == len(DIALECTS)
    assert {name.partition(" ")[0] for name in KINDS} == {dialect.kind for dialect in DIALECTS}
    assert DIALECTS[-1] is OpenAICompatible
    for dialect in DIALECTS:
        assert dialect_named(dialect.kind) is dialect


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadInput, match="llama-cpp, "):
        dialect_named("skynet")


@pytest.mark.parametrize("status", [200, 404])
async def test_a_page_for_people_is_no_llm_server(status: int) -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", Answer((PAGE,), status, {"Content-Type": "text/html"}))
        with pytest.raises(BadAnswer, match="no LLM server"):
            await _kind(script.url)


@pytest.mark.parametrize("told", [{}, [], "ok", {"error": "Unexpected endpoint or method."}, {"data": {}}, None])
async def test_json_that_says_something_else_is_no_llm_server(told: object) -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", json_answer(told))
        with pytest.raises(BadAnswer):
            await _kind(script.url)


async def test_a_list_without_models_is_a_list() -> None:
    async with scripted("GET /v1/models", json_answer({"object": "list", "data": []})) as script:
        assert await _kind(script.url) is OpenAICompatible


async def test_a_key_that_is_wanted_first_is_said() -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", json_answer(recorded("openai", "wrong_key"), 401))
        with pytest.raises(KeyRefused):
            await _kind(script.url)


async def test_one_that_still_starts_is_busy() -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", json_answer(recorded("llama-cpp", "loading"), 503))
        with pytest.raises(ServerBusy):
            await _kind(script.url)


async def test_where_nothing_listens_it_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ServerUnavailable):
            await _kind(url)


async def test_what_speaks_another_protocol_is_no_llm_server() -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", Answer(early=(b"220 mail.example ESMTP\r\n", End.CLOSE)))
        with pytest.raises(BadAnswer):
            await _kind(script.url)


async def test_all_the_questions_together_take_no_longer_than_one_may() -> None:
    async with scripted() as script:
        for page in PAGES:
            script.on(f"GET {page}", Answer((b"{}",), 404, early=(0.2,)))
        began = time.perf_counter()
        with pytest.raises(TimedOut):
            await _kind(script.url, answer=0.5)
        assert time.perf_counter() - began < 2
