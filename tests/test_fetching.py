"""Pictures by address come from the public internet alone: however it is written, nobody here is asked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.fetching import Address, Fetcher, is_public

PICTURE = b"\x89PNG and so on"


@dataclass
class Canary:
    """A server on this machine; ``asked`` is every request that reached it."""

    port: int = 0
    answers: list[bytes] = field(default_factory=list[bytes])
    asked: list[bytes] = field(default_factory=list[bytes])

    async def serve(self, stream: Any) -> None:
        async with stream:
            try:
                self.asked.append(await stream.receive(65_536))
                await stream.send(self.answers.pop(0) if self.answers else ok(PICTURE))
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def moved(place: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


@asynccontextmanager
async def listening() -> AsyncGenerator[Canary]:
    canary = Canary()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        canary.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, canary.serve)
        yield canary
        tasks.cancel_scope.cancel()


@pytest.fixture
async def canary() -> AsyncGenerator[Canary]:
    async with listening() as running:
        yield running


def loopback(address: Address) -> bool:
    """As if 127.0.0.1 were the internet, and the rest of this machine still were not."""
    return str(address) == "127.0.0.1"


HERE = [
    *("127.0.0.1", "127.1", "127.0.0.2", "0.0.0.0", "0", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1."),
    *("localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[0:0:0:0:0:0:0:1]", "１２７.0.0.1", "①②⑦.0.0.1"),
]
NEIGHBOURS = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1"),
    *("255.255.255.255", "240.0.0.1", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[::ffff:10.0.0.1]"),
    *("[2002:a9fe:a9fe::]", "[64:ff9b::a9fe:a9fe]", "[fec0::1]"),
]
ODD = [
    *(
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "gopher://127.0.0.1:{port}/_a",
        "http://",
        "http:///a",
        "//127.0.0.1/a",
    ),
    *("http://user:secret@127.0.0.1:{port}/a", "http://example.invalid/a", "http://[::1/a", "http://127.0.0.1:99999/a"),
    *(
        "http://a b/c",
        "http://\x00/",
        "http://" + "a" * 3_000,
        "javascript:alert(1)",
        "http://127.0.0.1:{port}\r\nX: y/",
    ),
]


@pytest.mark.parametrize("host", [*HERE, *NEIGHBOURS])
async def test_nobody_here_is_asked(canary: Canary, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidImage, match=r"public internet|no such host|cannot be fetched") as caught:
            await Fetcher(1_000).fetch(f"{scheme}://{host}:{canary.port}/a.png")
        assert caught.value.hint
    assert canary.asked == []


@pytest.mark.parametrize("host", NEIGHBOURS)
def test_neighbours_are_not_public(host: str) -> None:
    """Refused for what they are, and not because nobody answered there."""
    assert not is_public(ipaddress.ip_address(host.strip("[]")))


@pytest.mark.parametrize("url", ODD)
async def test_odd_addresses_are_refused(canary: Canary, url: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        await Fetcher(1_000).fetch(url.replace("{port}", str(canary.port)))
    assert "secret" not in str(caught.value)
    assert canary.asked == []


async def test_a_name_with_one_address_here_is_refused(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(anyio, "getaddrinfo", both)
    with pytest.raises(InvalidImage, match="public"):
        await Fetcher(1_000).fetch(f"http://both.example:{canary.port}/a.png")
    assert canary.asked == []


async def test_a_name_is_resolved_once(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that points somewhere else a moment later is not asked again (DNS rebinding)."""
    asked: list[str] = []

    async def changing(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
        return [(socket.AF_INET, 1, 6, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", changing)
    assert await Fetcher(1_000, loopback).fetch(f"http://name.example:{canary.port}/a.png") == PICTURE
    assert asked == ["name.example"]
    assert f"Host: name.example:{canary.port}".encode() in canary.asked[0]


async def test_a_picture_is_fetched_without_anything_of_ours(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await Fetcher(1_000, loopback).fetch(f"http://127.0.0.1:{canary.port}/a.png?b=c") == PICTURE
    head = canary.asked[0].decode().lower()
    assert head.startswith("get /a.png?b=c http/1.1")
    assert "cookie" not in head and "authorization" not in head and "accept-encoding: identity" in head


async def test_a_redirect_is_judged_like_a_new_address(canary: Canary) -> None:
    here = f"http://127.0.0.1:{canary.port}"
    fetcher = Fetcher(1_000, loopback)
    canary.answers = [moved("/b.png"), moved(f"{here}/c.png")]
    assert await fetcher.fetch(f"{here}/a.png") == PICTURE
    for place in (
        f"http://[::1]:{canary.port}/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://localhost:1/",
    ):
        canary.answers, canary.asked = [moved(place)], []
        with pytest.raises(InvalidImage):
            await fetcher.fetch(f"{here}/a.png")
        assert len(canary.asked) == 1
    canary.answers = [moved("/b.png")] * 9
    with pytest.raises(InvalidImage, match="on and on"):
        await fetcher.fetch(f"{here}/a.png")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (ok(bytes(2_000)), TooLarge),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + bytes(2_000), TooLarge),
        (ok(PICTURE, "content-encoding: gzip"), InvalidImage),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", InvalidImage),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort", InvalidImage),
        (b"nonsense\r\n\r\n", InvalidImage),
        (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", InvalidImage),
    ],
)
async def test_what_is_no_picture_of_a_fair_size_is_refused(
    canary: Canary, answer: bytes, failure: type[Exception]
) -> None:
    canary.answers = [answer]
    with pytest.raises(failure):
        await Fetcher(1_000, loopback).fetch(f"http://127.0.0.1:{canary.port}/a.png")


async def test_who_sends_nothing_is_not_waited_for(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.fetching._SECONDS", 0.3)
    canary.answers = [b""]
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        with anyio.fail_after(3), pytest.raises(InvalidImage):
            await Fetcher(1_000, loopback).fetch(
                f"http://127.0.0.1:{silent.extra(anyio.abc.SocketAttribute.local_port)}/"
            )


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2002:0101:0101::"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
