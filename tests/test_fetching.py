"""Pictures by address come from the public internet alone: however it is written, nobody here is asked."""

from __future__ import annotations

import gzip
import ipaddress
import socket
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from comfy_mcp.errors import InvalidImage, TooLarge
from comfy_mcp.fetching import Address, Fetcher, is_public
from tests.security.addresses import ADDRESSES, NEIGHBOURS
from tests.security.canary import PICTURE, Canary, listening_canary, moved, ok


@pytest.fixture
async def canary(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Canary]:
    async with listening_canary() as running:
        # As if it listened where web servers do: else its port alone would keep everybody away.
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({80, 443, running.port}))
        yield running


def loopback(address: Address) -> bool:
    """As if 127.0.0.1 were the internet, and the rest of this machine still were not."""
    return str(address) == "127.0.0.1"


@pytest.mark.parametrize("name", ADDRESSES)
async def test_nobody_here_is_asked(canary: Canary, name: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        await Fetcher(1_000).fetch(ADDRESSES[name].replace("{port}", str(canary.port)))
    assert caught.value.hint and "secret" not in str(caught.value)
    assert canary.connections == 0


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbours_are_not_public(name: str) -> None:
    """Refused for what they are, and not because nobody answered there."""
    assert not is_public(ipaddress.ip_address(NEIGHBOURS[name].strip("[]")))


@pytest.mark.parametrize("port", [8188, 22, 0, 81])
async def test_only_the_ports_of_web_servers_are_asked(port: int) -> None:
    with pytest.raises(InvalidImage, match="usual ports"):
        await Fetcher(1_000, loopback).fetch(f"http://127.0.0.1:{port}/a.png")


async def test_whether_a_port_is_open_a_host_is_there_or_a_name_is_known_is_not_told(canary: Canary) -> None:
    canary.answers = [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"no web server\r\n"]
    open_port, closed = f"http://127.0.0.1:{canary.port}/a", "http://127.0.0.1:443/a"
    cases = [(open_port, loopback), (open_port, loopback), (closed, loopback), (open_port, is_public)]
    cases += [(closed, is_public), ("http://no-such-name.invalid/a", is_public), ("http://10.0.0.1/a", is_public)]
    told: set[str] = set()
    for url, allowed in cases:
        with pytest.raises(InvalidImage) as caught:
            await Fetcher(1_000, allowed).fetch(url)
        told.add(str(caught.value))
    assert len(told) == 1 and len(canary.asked) == 2


async def test_a_refusal_takes_no_longer_where_somebody_listens(canary: Canary) -> None:
    """No connection is tried, so it is over at once, and nothing hangs on who is there."""
    with anyio.fail_after(1):
        for host in ("127.0.0.1", "10.255.255.1", "169.254.169.254", "[::1]") * 5:
            with pytest.raises(InvalidImage):
                await Fetcher(1_000).fetch(f"http://{host}:{canary.port}/a")
    assert canary.connections == 0


async def test_a_name_with_one_address_here_is_refused(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(anyio, "getaddrinfo", both)
    with pytest.raises(InvalidImage, match="Nothing can be fetched"):
        await Fetcher(1_000).fetch(f"http://both.example:{canary.port}/a.png")
    assert canary.connections == 0


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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_judged_like_a_new_address(canary: Canary, status: int) -> None:
    here, fetcher = canary.url, Fetcher(1_000, loopback)
    canary.answers = [moved("/b.png", status), moved(f"{here}/c.png", status)]
    assert await fetcher.fetch(f"{here}/a.png") == PICTURE
    assert not any(b"cookie" in request.lower() or b"referer" in request.lower() for request in canary.asked)
    for place in (
        *(f"http://[::1]:{canary.port}/", "http://169.254.169.254/", "file:///etc/passwd", "http://localhost:1/"),
        *(f"//[::ffff:127.0.0.1]:{canary.port}/", f"http://u:p@127.0.0.1:{canary.port}/", "http://127.0.0.1:22/"),
    ):
        canary.answers, canary.asked = [moved(place, status)], []
        with pytest.raises(InvalidImage):
            await fetcher.fetch(f"{here}/a.png")
        assert len(canary.asked) == 1
    canary.answers = [moved("/b.png", status)] * 9
    canary.asked.clear()
    with pytest.raises(InvalidImage, match="Nothing can be fetched"):
        await fetcher.fetch(f"{here}/a.png")
    assert len(canary.asked) == 4


async def test_a_redirect_from_the_internet_does_not_lead_here(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first hop is allowed, as one on the internet would be; the next one is this machine by another name."""

    async def resolved(host: str, port: int, **more: Any) -> list[Any]:
        address = "127.0.0.1" if host == "public.example" else "127.0.0.9"
        return [(socket.AF_INET, 1, 6, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolved)
    canary.answers = [moved(f"http://inside.example:{canary.port}/")]
    with pytest.raises(InvalidImage):
        await Fetcher(1_000, loopback).fetch(f"http://public.example:{canary.port}/a.png")
    assert len(canary.asked) == 1


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


async def test_who_sends_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.fetching._SECONDS", 0.3)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        port = silent.extra(anyio.abc.SocketAttribute.local_port)
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({port}))
        with anyio.fail_after(3), pytest.raises(InvalidImage):
            await Fetcher(1_000, loopback).fetch(f"http://127.0.0.1:{port}/")


async def test_an_endless_answer_ends_at_the_limit_and_in_time(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    canary.answers = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + bytes(5_000_000)]
    with pytest.raises(TooLarge):
        await Fetcher(100_000, loopback).fetch(f"{canary.url}/a")
    packed = gzip.compress(bytes(10_000_000))
    canary.answers = [ok(packed, "content-encoding: gzip"), ok(packed, "content-encoding: x, gzip")]
    for _ in range(2):
        with pytest.raises(InvalidImage):
            await Fetcher(100_000, loopback).fetch(f"{canary.url}/a")


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
