"""The guard over real sockets: from where one may call, and how much at once."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import anyio
import httpx
import pytest
import websockets
from starlette.types import Message

from comfy_mcp.proxy.guard import Guard, Rules
from tests.proxy.guard.serving import TOKEN, exchange, guarded, inner

STRANGE_HOSTS = [
    "evil.example",
    "evil.example:8190",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost/",
    "localhost:8190:80",
    "localhost:123456",
    "localhost.",
    "studio.lan",
    "",
    "[::1",
    "[::1]x",
    "ⓛocalhost",
    "127.0.0.1 evil.example",
    "127.1",
]
STRANGE_ORIGINS = [
    "null",
    "",
    "http://evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost:8189@evil",
    "http://127.0.0.1:99999",
    "http://127.0.0.1",
    "file://",
    "http://[::1",
    "http://chat:3000.evil.example",
    "http://chat:3000/",
    "http://chat:3000, http://evil.example",
    "chrome-extension://abc",
    "ü",
]


@pytest.fixture(scope="module")
async def open_url() -> AsyncGenerator[str]:
    rules = Rules(hosts=frozenset({"studio.lan:8190", "nas:*"}), origins=frozenset({"http://chat:3000"}))
    async with guarded(rules) as url:
        yield url


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost:8190", "LOCALHOST", "[::1]:8190", "studio.lan:8190", "nas", "nas:99"]
)
@pytest.mark.requirement("R4")
async def test_known_hosts_pass(open_url: str, http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get(open_url, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", STRANGE_HOSTS)
@pytest.mark.requirement("R4")
async def test_strange_hosts_are_refused(open_url: str, http: httpx.AsyncClient, host: str) -> None:
    answer = await http.get(open_url, headers=[(b"host", host.encode())])
    assert answer.status_code == 421
    assert "WORKBENCH_ALLOWED_HOSTS" in answer.json()["error"]["hint"]


async def test_no_host_and_two_hosts_are_refused(open_url: str) -> None:
    for head in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n"):
        assert (await exchange(open_url, head)).split()[1] in (b"421", b"400")


async def test_own_and_listed_origins_pass(open_url: str, http: httpx.AsyncClient) -> None:
    for origin in (open_url, "http://chat:3000"):
        assert (await http.post(open_url, headers={"origin": origin})).status_code == 200


@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_strange_origins_are_refused(open_url: str, http: httpx.AsyncClient, method: str, origin: str) -> None:
    headers = [(b"origin", origin.encode()), (b"access-control-request-method", b"POST")]
    answer = await http.request(method, open_url, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")
    assert "access-control-allow-origin" not in answer.headers


async def test_two_origins_are_refused(open_url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(open_url, headers=[("origin", "http://chat:3000"), ("origin", "http://chat:3000")])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "null"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Host": "evil.example"}, 421)],
)
async def test_sockets_are_guarded_as_well(open_url: str, headers: dict[str, str], status: int) -> None:
    lines = {"Host": "localhost", **headers, "Upgrade": "websocket", "Connection": "Upgrade"}
    lines |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    head = "GET /comfyui/ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer = await exchange(open_url, head.encode() + b"\r\n")
    assert answer.split()[1] == str(status).encode()
    assert b"x-content-type-options: nosniff" in answer.lower()


async def test_a_socket_passes_with_the_token_alone() -> None:
    async with guarded(Rules(token=TOKEN)) as url:
        address = url.replace("http://", "ws://") + "/comfyui/ws"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(address)
        assert refused.value.response.status_code == 401
        async with websockets.connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            assert json.loads(await session.recv()) == "local"


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
        assert (await http.get(url, headers=[(f"x-{number}", "") for number in range(90)])).status_code == 200
        assert (await http.get(url, headers=[(f"x-{number}", "") for number in range(100)])).status_code == 431


CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
TWICE = {
    "length and chunks": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKED),
    "two lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"),
    "a list of lengths": (b"Content-Length: 5, 6\r\n", b"hello!"),
    "a signed length": (b"Content-Length: +5\r\n", b"hello"),
    "a hexadecimal length": (b"Content-Length: 0x5\r\n", b"hello"),
    "a negative length": (b"Content-Length: -5\r\n", b"hello"),
    "two encodings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "an unknown encoding": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
    "a space before the colon": (b"Content-Length : 5\r\n", b"hello"),
    "a folded header": (b"X: y\r\n z\r\nContent-Length:\r\n 5 5\r\n", b"hello"),
}


@pytest.mark.parametrize("name", TWICE)
async def test_a_body_whose_length_is_unclear_is_refused_and_the_connection_ends(open_url: str, name: str) -> None:
    headers, body = TWICE[name]
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = await exchange(open_url, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n" + body + hidden)
    assert answer.split()[1] in (b"400", b"501")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_the_same_length_twice_is_one_length(open_url: str) -> None:
    """RFC 9110, 8.6 allows it: both say the same, so nobody can read it in two ways."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"
    answer = await exchange(open_url, head + b"hello")
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n5")


async def test_an_endless_length_is_too_long(open_url: str) -> None:
    with anyio.fail_after(5):
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
        answer = await exchange(open_url, head + b"9" * 20 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("lengths", [["x"], ["-1"], ["٣"], [""], ["5", "5"], ["5", "6"]])
async def test_behind_another_server_an_unclear_length_is_refused_as_well(lengths: list[str]) -> None:
    """The one that we listen with does not let these through; the guard does not rely on it."""
    headers = [(b"host", b"localhost"), *((b"content-length", length.encode("utf-8")) for length in lengths)]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers, "client": None}
    answers: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing of it is read")

    async def send(message: Message) -> None:
        answers.append(message)

    await Guard(inner(), Rules(), lambda scope: False)(scope, receive, send)
    assert answers[0]["status"] == 400


async def test_odd_methods_and_paths_are_no_way_past_the_token() -> None:
    async with guarded(Rules(token=TOKEN)) as url:
        for method in ("TRACE", "CONNECT", "OPTIONS", "get", "GET"):
            for path in ("/", "/healthz/", "/HEALTHZ", "//healthz", "/x/../healthz", "/healthz;x", "http://h/healthz"):
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                assert (await exchange(url, head.encode())).startswith(b"HTTP/1.1 401 ")
