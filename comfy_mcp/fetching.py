"""Fetches a picture from an address that a caller gives, and from nowhere but web servers of the public internet.

Owns the guard against requests to this machine and its neighbours (SSRF): a name is resolved once, every address it has
must be public, and the connection goes to the very address that was judged; a redirect is judged like a new address.
What has a public address of its own is public to us: with IPv6 that can be a neighbour behind the same firewall.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urljoin

import anyio
import httpx
from anyio import to_thread
from anyio.lowlevel import RunVar

from comfy_mcp.errors import InvalidImage, TooLarge

__all__ = ["Fetcher", "is_public"]

log = logging.getLogger(__name__)

_SECONDS, _CONNECT_SECONDS = 20.0, 5.0
_HOPS, _AT_ONCE = 3, 4
_MOST_URL = 2_000
_SCHEMES = {"http": 80, "https": 443}
_PORTS = frozenset(_SCHEMES.values())
# Readers of addresses differ in what they make of these; none belongs into one.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\xa0\\]|//[^/?#]*@")
# Dotted octets, or a name whose last part no old way to write an address (127.1, 0x7f000001) can be mistaken for.
_PLAIN_HOST = re.compile(
    r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}|[0-9a-f:]+:[0-9a-f:.]*|([a-z0-9_-]+\.)*[a-z][a-z0-9_-]*\.?"
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DENIED = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        # What carries an IPv4 address inside is no way around the list above: compatible, mapped, translated, NAT64
        # of both prefixes, Teredo with its neighbours, 6to4.
        *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16"),
        *("100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
]


def is_public(address: Address) -> bool:
    """Whether this is an address of the public internet.

    Python's own answer alone does not do: it takes relays to private addresses, such as 64:ff9b::7f00:1, for global.
    """
    return address.is_global and not any(address in network for network in _DENIED)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """``allowed`` judges an address; ``max_bytes`` bounds what is read."""

    max_bytes: int
    allowed: Callable[[Address], bool] = field(default=is_public)

    async def fetch(self, url: str) -> bytes:
        """The bytes behind the address.

        Raises:
            InvalidImage: no address that may be fetched, or nothing there.
            TooLarge: more than ``max_bytes``.
        """
        try:
            async with _at_once():
                for _ in range(_HOPS + 1):
                    answer = await self._hop(url)
                    if isinstance(answer, bytes):
                        return answer
                    url = answer
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ValueError) as failure:
            # One text for all: the caller is not told which names, hosts and ports there are.
            log.debug("An address could not be fetched.", exc_info=True)
            raise _refused("Nothing can be fetched from there.") from failure
        raise _refused("Nothing can be fetched from there.")

    async def _hop(self, url: str) -> bytes | str:
        """What is there, or where it leads on to."""
        told = _plain(url)
        host, port = told.raw_host.decode("ascii"), _port(told)
        address = await self._resolved(host, port)
        headers = {"Host": told.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
        certificates = await to_thread.run_sync(_certificates)
        async with httpx.AsyncClient(
            verify=certificates, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            pinned = told.copy_with(host=str(address), port=port)
            request = client.build_request(
                "GET", pinned, headers=headers, extensions={"sni_hostname": host.rstrip(".")}
            )
            answer = await client.send(request, stream=True)
            try:
                if answer.is_redirect and "location" in answer.headers:
                    return urljoin(url, answer.headers["location"])
                if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
                    raise ValueError(f"It answers with status {answer.status_code}.")
                return await self._read(answer)
            finally:
                await answer.aclose()

    async def _resolved(self, host: str, port: int) -> Address:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
        if not addresses or not all(map(self.allowed, addresses)):
            raise ValueError("It is not on the public internet.")
        return addresses[0]

    async def _read(self, answer: httpx.Response) -> bytes:
        found = bytearray()
        async for part in answer.aiter_raw():
            found += part
            if len(found) > self.max_bytes:
                raise TooLarge(f"The picture behind the address is larger than {self.max_bytes} bytes.")
        return bytes(found)


def _plain(url: str) -> httpx.URL:
    """The address, when all who read it read the same, and it leads to a web server. Raises InvalidImage."""
    told = None if len(url) > _MOST_URL or _AMBIGUOUS.search(url) else httpx.URL(url)
    if (
        told is None
        or told.scheme not in _SCHEMES
        or _port(told) not in _PORTS
        or not _PLAIN_HOST.fullmatch(told.raw_host.decode("ascii"))
    ):
        raise _refused("Only http and https addresses at their usual ports, without a password, are fetched.")
    return told


def _port(told: httpx.URL) -> int:
    return _SCHEMES[told.scheme] if told.port is None else told.port


_places: RunVar[anyio.CapacityLimiter] = RunVar("_places")


@asynccontextmanager
async def _at_once() -> AsyncGenerator[None]:
    """One of a few that are fetched at the same time, each in bounded time: pictures are large."""
    try:
        limiter = _places.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        _places.set(limiter)
    with anyio.fail_after(_SECONDS):
        async with limiter:
            yield


@cache
def _certificates() -> ssl.SSLContext:
    """Read once, and off the event loop: it takes a tenth of a second."""
    return httpx.create_ssl_context(trust_env=False)


def _refused(why: str) -> InvalidImage:
    return InvalidImage(f"The address is not fetched: {why}", hint="Give the picture as base64, or upload it.")
