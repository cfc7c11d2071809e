"""The guard over real sockets: who may call, from where, and how much."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from comfy_mcp.proxy.guard import Guard, Rules

TOKEN = "a token of enough characters"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@asynccontextmanager
async def guarded(rules: Rules) -> AsyncGenerator[str]:
    inner = Starlette(routes=[Route(path, echo, methods=["GET", "POST"]) for path in ("/", "/healthz", "/link")])
    app = Guard(inner, rules, lambda scope: scope["path"] == "/link")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="off"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(5):
                while not server.started:
                    await anyio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


@pytest.fixture
async def open_url() -> AsyncGenerator[str]:
    rules = Rules(hosts=frozenset({"studio.lan:8190", "nas:*"}), origins=frozenset({"http://chat:3000"}))
    async with guarded(rules) as url:
        yield url


@pytest.fixture
async def token_url() -> AsyncGenerator[str]:
    async with guarded(Rules(token=TOKEN)) as url:
        yield url


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8190", "[::1]:8190", "studio.lan:8190", "nas", "nas:99"])
@pytest.mark.requirement("R4")
async def test_known_hosts_pass(open_url: str, http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get(open_url, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8190", "127.0.0.1.evil.example", "localhost@evil.example", "studio.lan", "", "[::1"],
)
@pytest.mark.requirement("R4")
async def test_strange_hosts_are_refused(open_url: str, http: httpx.AsyncClient, host: str) -> None:
    answer = await http.get(open_url, headers={"host": host})
    assert answer.status_code == 421
    assert "WORKBENCH_ALLOWED_HOSTS" in answer.json()["error"]["hint"]


async def test_own_and_listed_origins_pass(open_url: str, http: httpx.AsyncClient) -> None:
    for origin in (open_url, "http://chat:3000"):
        assert (await http.post(open_url, headers={"origin": origin})).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost:8189@evil",
        "http://127.0.0.1:99999",
    ],
)
async def test_strange_origins_are_refused(open_url: str, http: httpx.AsyncClient, origin: str) -> None:
    answer = await http.post(open_url, headers={"origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
async def test_without_the_token_nothing_but_health_answers(
    token_url: str, http: httpx.AsyncClient, authorization: str | None
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    answer = await http.get(token_url, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await http.get(f"{token_url}/healthz")).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_token_opens(token_url: str, http: httpx.AsyncClient, scheme: str) -> None:
    assert (await http.get(token_url, headers={"authorization": f"{scheme} {TOKEN}"})).status_code == 200


async def test_a_signed_link_opens(token_url: str, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{token_url}/link")).status_code == 200


@pytest.mark.requirement("R5")
async def test_a_declared_body_over_the_limit_is_refused_unread(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(max_body=1000)) as url:
        assert (await http.post(url, content=b"x" * 1000)).text == "1000"
        assert (await http.post(url, content=b"x" * 1001)).status_code == 413


async def test_a_streamed_body_over_the_limit_is_cut(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(1000):
            yield b"x" * 100

    async with guarded(Rules(max_body=1000)) as url:
        assert (await http.post(url, content=endless())).status_code == 413


async def test_headers_over_the_limit_are_refused(http: httpx.AsyncClient) -> None:
    async with guarded(Rules(max_header=2000)) as url:
        assert (await http.get(url, headers={"x": "y" * 2000})).status_code == 431


async def test_a_body_that_trickles_is_cut() -> None:
    async with guarded(Rules(receive_timeout=0.3)) as url:
        with anyio.fail_after(5):
            stream = await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0)
            await stream.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
            assert b" 408 " in await stream.receive()
            await stream.aclose()


async def test_answers_are_not_guessed_at(open_url: str, http: httpx.AsyncClient) -> None:
    assert (await http.get(open_url)).headers["x-content-type-options"] == "nosniff"
