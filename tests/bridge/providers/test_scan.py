"""What runs on a machine: all kinds at once, those that want a key, and what is no LLM server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest

from llm_bridge.errors import BadInput
from llm_bridge.providers import State
from llm_bridge.providers.registry import DIALECTS
from llm_bridge.scan import Found, scan
from tests.bridge.providers.kinds import KINDS
from tests.bridge.providers.scripted import jan, llama_router, openai, recorded, vllm
from tests.bridge.servers import Answer, End, Script, json_answer, scripted


def _port(script: Script) -> int:
    return urlsplit(script.url).port or 0


@asynccontextmanager
async def _all(*servers: Callable[[Script], None]) -> AsyncGenerator[list[Script]]:
    async with AsyncExitStack() as stack:
        scripts = [await stack.enter_async_context(scripted()) for _ in servers]
        for script, server in zip(scripts, servers, strict=True):
            server(script)
        yield scripts


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_is_found_with_its_models(name: str) -> None:
    async with _all(KINDS[name]) as (script,):
        (found,) = await scan([_port(script)])
    assert (found.url, found.kind, found.problem) == (script.url, name.partition(" ")[0], "")
    assert found.models


async def test_several_are_found_at_once_in_the_order_of_their_ports() -> None:
    async with _all(vllm, openai, llama_router) as scripts:
        found = await scan([_port(script) for script in scripts])
    assert [(each.url, each.kind) for each in found] == [
        (script.url, kind) for script, kind in zip(scripts, ("vllm", "openai", "llama-cpp"), strict=True)
    ]


async def test_what_it_finds_has_a_title_and_the_state_of_its_models() -> None:
    async with _all(llama_router) as (script,):
        (found,) = await scan([_port(script)])
    assert found.title == "llama.cpp"
    assert {model.id: model.state for model in found.models}["tiny-think"] is State.LOADED


async def test_ports_where_nothing_listens_cost_no_time() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        began = time.perf_counter()
        assert await scan([port] * 50) == []
        assert time.perf_counter() - began < 1.5


async def test_what_hangs_or_is_no_llm_server_is_left_out_in_time() -> None:
    def hangs(script: Script) -> None:
        for page in ("/running", "/openapi.json", "/props", "/v1/models"):
            script.on(f"GET {page}", Answer(early=(End.HANG,)))

    def nothing(script: Script) -> None:
        script.on("GET /", Answer((b"<html></html>",), 200, {"Content-Type": "text/html"}))

    async with _all(hangs, nothing, openai) as scripts:
        began = time.perf_counter()
        found = await scan([_port(script) for script in scripts])
        assert time.perf_counter() - began < 2.5
    assert [each.url for each in found] == [scripts[2].url]


async def test_a_server_that_wants_a_key_is_found_with_that_as_its_problem() -> None:
    def locked_jan(script: Script) -> None:
        jan(script)
        for page in ("/running", "/v1/models", "/v1/models/available"):
            script.on(f"GET {page}", Answer((b"Invalid or missing authorization token",), 401))

    def locked(script: Script) -> None:
        for page in ("/running", "/openapi.json", "/props", "/v1/models"):
            script.on(f"GET {page}", json_answer(recorded("llama-cpp", "wrong_key"), 401))

    async with _all(locked_jan, locked) as scripts:
        known, unknown = await scan([_port(script) for script in scripts])
    assert (known.kind, known.title, known.problem) == ("jan", "Jan", "It wants a key.")
    assert (unknown.kind, unknown.title, unknown.problem, unknown.models) == (None, "A server", "It wants a key.", ())


async def test_what_refuses_everything_is_no_llm_server_unless_an_api_wants_a_key() -> None:
    def refuses(script: Script, status: int, **headers: str) -> None:
        for page in ("/running", "/openapi.json", "/props", "/v1/models", "/"):
            script.on(
                f"GET {page}", Answer((), status, {name.replace("_", "-"): told for name, told in headers.items()})
            )

    def air_play(script: Script) -> None:
        refuses(script, 403)

    def router(script: Script) -> None:
        refuses(script, 401, WWW_Authenticate="Basic")

    def api(script: Script) -> None:
        refuses(script, 401, WWW_Authenticate="Bearer")

    async with _all(air_play, router, api) as scripts:
        (found,) = await scan([_port(script) for script in scripts])
    assert (found.url, found.problem) == (scripts[2].url, "It wants a key.")


async def test_one_that_does_not_list_its_models_in_time_is_found_all_the_same() -> None:
    def slow(script: Script) -> None:
        vllm(script)
        listed = json_answer(recorded("vllm", "models"))
        script.on("GET /v1/models", listed, listed, Answer(early=(End.HANG,)))

    async with _all(slow) as (script,):
        (found,) = await scan([_port(script)])
    assert (found.kind, found.models) == ("vllm", ())
    assert found.problem == "It does not list its models in time."


async def test_one_that_still_starts_says_so() -> None:
    def starting(script: Script) -> None:
        for page in ("/running", "/openapi.json", "/props", "/v1/models"):
            script.on(f"GET {page}", json_answer(recorded("llama-cpp", "loading"), 503))

    async with _all(starting) as (script,):
        (found,) = await scan([_port(script)])
    assert "Loading model" in found.problem


async def test_only_this_machine_is_asked_and_all_ports_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watched where connections are made."""
    asked: set[tuple[str, int]] = set()

    async def connect(_: object, __: object, host: str, port: int, **___: object) -> None:
        asked.add((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connect)
    assert await scan() == []
    assert asked == {("127.0.0.1", port) for dialect in DIALECTS for port in dialect.ports}
    assert {8080, 8000, 1337} <= {port for _, port in asked}


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("http://127.0.0.1:8080", "llama-cpp", "llama-cpp"),
        ("http://127.0.0.1:8081", "llama-cpp", "llama-cpp-8081"),
        ("http://192.0.2.7:1337", "jan", "jan@192.0.2.7"),
        ("http://127.0.0.1:5000", None, "server-5000"),
    ],
)
def test_what_is_found_can_be_set_up_by_a_name_of_its_own(url: str, kind: str | None, name: str) -> None:
    endpoint = Found(url, kind, "x").endpoint
    assert (endpoint.name, endpoint.url, endpoint.kind) == (name, url, kind)


async def test_other_machines_are_asked_when_they_are_named() -> None:
    async with _all(openai) as (script,):
        found = await scan([_port(script)], hosts=["localhost"])
    assert [each.url for each in found] == [f"http://localhost:{_port(script)}"]


async def test_a_host_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(BadInput):
        await scan([80], hosts=["a b@c"])
