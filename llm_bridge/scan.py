"""Finds the LLM servers that run on a machine, by asking at the ports where they listen when nobody says otherwise.

Used by the command line and the form. Asks no machine but this one, unless its name is given.
"""

from __future__ import annotations

from asyncio import gather, open_connection, timeout
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, BridgeError, KeyRefused, ServerLost, ServerUnavailable, TimedOut
from llm_bridge.providers import Model
from llm_bridge.providers.registry import DIALECTS, detect, dialect_named
from llm_bridge.transport import Timeouts, Transport

__all__ = ["Found", "scan"]

_TIMEOUTS = Timeouts(connect=0.5, answer=1.0)
"""``answer`` is for all the questions to one server together."""


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers. ``kind`` is None when it does not say what it is without a key.

    ``problem`` is why its models are not known, "" when they are.
    """

    url: str
    kind: str | None
    title: str
    models: tuple[Model, ...] = ()
    problem: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """As it can be set up; the name tells several of a kind apart."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        ports = dialect_named(self.kind).ports if self.kind else ()
        name = self.kind or "server"
        name += "" if int(port) in ports else f"-{port}"
        return Endpoint(name if host == "127.0.0.1" else f"{name}@{host}", self.url, kind=self.kind)


async def scan(ports: Iterable[int] | None = None, hosts: Iterable[str] = ("127.0.0.1",)) -> list[Found]:
    """All servers at ``ports`` of ``hosts``, those of every kind when none are named, in that order.

    What answers but is no LLM server is not among them. Takes about a second and a half at most. Raises BadInput for
    what cannot be a host.
    """
    known = sorted({port for dialect in DIALECTS for port in dialect.ports}) if ports is None else list(ports)
    urls = [f"http://{f'[{host}]' if ':' in host else host}:{port}" for host in hosts for port in known]
    places = [Endpoint(url, url) for url in urls]
    open_ones = [place for place, is_open in zip(places, await gather(*map(_is_open, places)), strict=True) if is_open]
    async with AsyncExitStack() as stack:
        # All before the first is asked: to make one holds the others up.
        ready = [await stack.enter_async_context(Transport.open(place, _TIMEOUTS)) for place in open_ones]
        return [found for found in await gather(*map(_looked_at, ready)) if found is not None]


async def _is_open(place: Endpoint) -> bool:
    parts = urlsplit(place.url)
    try:
        async with timeout(_TIMEOUTS.connect):
            _, writer = await open_connection(parts.hostname, parts.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def _looked_at(transport: Transport) -> Found | None:
    found: Found | None = None
    url = transport.endpoint.url
    try:
        async with timeout(_TIMEOUTS.answer):
            kind = await detect(transport)
            found = Found(url, kind.kind, kind.title, problem="It does not list its models in time.")
            dialect = kind(transport)
            await dialect.learn()
            return replace(found, models=tuple(await dialect.offered()), problem="")
    except (TimeoutError, TimedOut):
        return found
    except BridgeError as failure:
        return _with_problem(url, found, failure)


def _with_problem(url: str, found: Found | None, failure: BridgeError) -> Found | None:
    if found is None and isinstance(failure, BadAnswer | ServerUnavailable | ServerLost):
        return None
    if found is None and isinstance(failure, KeyRefused) and not failure.details.get("by_api"):
        # Many things refuse, such as the AirPlay of a Mac at port 5000.
        return None
    problem = "It wants a key." if isinstance(failure, KeyRefused) else failure.message
    return replace(found or Found(url, None, "A server"), problem=problem)
