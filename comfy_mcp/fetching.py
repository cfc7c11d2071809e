"""Fetches a picture from an address that a caller gives, and from nowhere but the public internet.

Owns the guard against requests to this machine and its neighbours (SSRF): a name is resolved once, every address it has
must be public, and the connection goes to the very address that was judged; a redirect is judged like a new address.
What has a public address of its own is public to us: with IPv6 that can be a neighbour behind the same firewall.
"""

from __future__ import annotations

import ipaddress
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

_SECONDS, _CONNECT_SECONDS = 20.0, 5.0
_HOPS, _AT_ONCE = 3, 4
_MOST_URL = 2_000
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether this is an address of the public internet, also once it is unwrapped from IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return False
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


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
        except TimeoutError:
            raise _refused("It does not answer in time.") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ValueError) as failure:
            raise _refused("It cannot be fetched.") from failure
        raise _refused("It leads on and on.")

    async def _hop(self, url: str) -> bytes | str:
        """What is there, or where it leads on to."""
        told = httpx.URL(url)
        port = told.port or _PORTS.get(told.scheme, 0)
        if told.scheme not in _PORTS or not told.host or told.userinfo or len(url) > _MOST_URL:
            raise _refused("Only http and https addresses without a password are fetched.")
        address = await self._resolved(told.host, port)
        headers = {"Host": told.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
        certificates = await to_thread.run_sync(_certificates)
        async with httpx.AsyncClient(
            verify=certificates, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            pinned = told.copy_with(host=str(address), port=port)
            request = client.build_request("GET", pinned, headers=headers, extensions={"sni_hostname": told.host})
            answer = await client.send(request, stream=True)
            try:
                if answer.is_redirect and "location" in answer.headers:
                    return urljoin(url, answer.headers["location"])
                if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
                    raise _refused(f"It answers with status {answer.status_code}.")
                return await self._read(answer)
            finally:
                await answer.aclose()

    async def _resolved(self, host: str, port: int) -> Address:
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise _refused("There is no such host.") from None
        addresses = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
        if not addresses or not all(map(self.allowed, addresses)):
            raise _refused("It is not on the public internet.")
        return addresses[0]

    async def _read(self, answer: httpx.Response) -> bytes:
        found = bytearray()
        async for part in answer.aiter_raw():
            found += part
            if len(found) > self.max_bytes:
                raise TooLarge(f"The picture behind the address is larger than {self.max_bytes} bytes.")
        return bytes(found)


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
