"""Bodies cut into packets at will, without a socket between, so that every cut arrives as it was made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import httpx

from llm_bridge.chat import Event
from llm_bridge.framing import pieces
from llm_bridge.providers import Decoder

__all__ = ["events_of", "halves"]


class _Packets(httpx.AsyncByteStream):
    def __init__(self, packets: Iterable[bytes]) -> None:
        self._packets = packets

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for packet in self._packets:
            yield packet


async def events_of(decoder: Decoder, kind: str, packets: Iterable[bytes]) -> list[Event]:
    """What a decoder makes of a body of content type ``kind`` that comes in these packets."""
    response = httpx.Response(200, headers={"Content-Type": kind}, stream=_Packets(packets))
    found: list[Event] = []
    async for together in pieces(response):
        for piece in together:
            found += decoder.feed(*piece)
    return [*found, *decoder.flush(), decoder.end()]


def halves(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The body cut in two, at every position."""
    return ((body[:cut], body[cut:]) for cut in range(len(body) + 1))
