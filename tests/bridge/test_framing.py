"""Bodies come in any pieces and in many kinds; the same pieces of an answer come out of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge import framing, transport
from llm_bridge.chat import Done, Event
from llm_bridge.errors import BadAnswer
from llm_bridge.framing import Piece, pieces
from llm_bridge.providers.openai import ChunkDecoder

SSE = "text/event-stream"
RECORDED = Path(__file__).parent / "recorded"
EVENTS: list[tuple[str, list[Piece]]] = [
    ("data: a\n\n", [("", "a")]),
    ("data:a\n\n", [("", "a")]),
    ("data:  a\n\n", [("", " a")]),
    ("data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
    ("data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
    ("data: a\r\ndata: b\r\n\r\n", [("", "a\nb")]),
    ("data: a\n\ndata: b\n\n", [("", "a"), ("", "b")]),
    ("data: one\ndata: two\n\n", [("", "one\ntwo")]),
    ("data\n\n", [("", "")]),
    (": a comment\n\n:\n\ndata: a\n\n", [("", "a")]),
    ("event: error\ndata: bad\n\ndata: a\n\n", [("error", "bad"), ("", "a")]),
    ("event: message\ndata: a\n\n", [("", "a")]),
    ("event: ping\n\ndata: a\n\n", [("", "a")]),
    ("id: 1\nretry: 10\nodd: x\ndata: a\n\n", [("", "a")]),
    ("\ufeffdata: a\n\n", [("", "a")]),
    ("\n\n  \ndata: a\n\n", [("", "a")]),
    ('data: {"a": "\u2028\u2029\x85\x0b\x0c"}\n\n', [("", '{"a": "\u2028\u2029\x85\x0b\x0c"}')]),
    ("data: ü漢🙂\n\n", [("", "ü漢🙂")]),
    ("data: a\n\ndata: [DONE]", [("", "a"), ("", "[DONE]")]),
    ('data: a\n\ndata: {"b": 1}', [("", "a"), ("", '{"b": 1}')]),
    ('data: a\n\ndata: {"b": 1', [("", "a")]),
    ("data: a\n\ndata: b\n", [("", "a"), ("", "b")]),
    ("", []),
    (" \n\r\n ", []),
]
"""Bodies of Server-Sent Events and what is in them."""


class _Body(httpx.AsyncByteStream):
    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for part in self._parts:
            yield part


async def framed(parts: Sequence[bytes], kind: str = SSE) -> list[Piece]:
    response = httpx.Response(200, headers={"Content-Type": kind}, stream=_Body(parts))
    return [piece async for together in pieces(response) for piece in together]


async def decoded(parts: Sequence[bytes]) -> list[Event]:
    """The events in these parts of an answer of the OpenAI protocol."""
    decoder = ChunkDecoder("box")
    events = [event for piece in await framed(parts) for event in decoder.feed(*piece)]
    return [*events, *decoder.flush(), decoder.end()]


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(("text", "expected"), EVENTS)
async def test_events_come_out_whole_and_cut_into_single_bytes(text: str, expected: list[Piece]) -> None:
    body = text.encode()
    assert await framed([body]) == expected
    assert await framed([body[place : place + 1] for place in range(len(body))]) == expected


@pytest.mark.parametrize(("text", "expected"), EVENTS)
async def test_events_come_out_however_they_are_cut_in_two(text: str, expected: list[Piece]) -> None:
    body = text.encode()
    for place in range(len(body)):
        assert await framed([body[:place], body[place:]]) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(EVENTS[:-6]), max_size=8), st.lists(st.integers(0, 400), max_size=30))
async def test_any_events_in_any_pieces_come_out(events: list[tuple[str, list[Piece]]], places: list[int]) -> None:
    body = "".join(text.removeprefix("\ufeff") for text, _ in events).encode()
    expected = [piece for _, found in events for piece in found]
    assert await framed(cut(body, places)) == expected


@pytest.mark.parametrize("recorded", sorted((RECORDED / "llama-cpp").glob("*.sse")), ids=lambda path: path.stem)
async def test_what_a_real_server_sent_reads_the_same_cut_at_any_byte(recorded: Path) -> None:
    body = recorded.read_bytes()
    whole = await decoded([body])
    assert isinstance(whole[-1], Done)
    assert whole[-1].usage.completion
    for place in range(1, len(body)):
        assert await decoded([body[:place], body[place:]]) == whole, place
    assert await decoded([body[place : place + 1] for place in range(len(body))]) == whole


async def test_comments_come_out_in_their_places_for_who_wants_them() -> None:
    body = ": wait\n\n:\n\ndata: a\n: ü\ndata: b\n\nevent: \n\ndata: c\r\n\r\n".encode()
    response = httpx.Response(200, headers={"Content-Type": SSE}, stream=_Body([body[:5], body[5:]]))
    found = [piece async for together in pieces(response, comments=True) for piece in together]
    comments = [(transport.COMMENT, text) for text in ("wait", "", "ü")]
    assert found == [*comments, ("", "a\nb"), ("", "c")]


async def test_bytes_that_are_no_text_do_not_stop_the_stream() -> None:
    assert await framed([b"data: a\xff\xfeb\n\ndata: c\n\n"]) == [("", "a\ufffd\ufffdb"), ("", "c")]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; charset=utf-8"])
async def test_json_comes_line_by_line(kind: str) -> None:
    body = '{"a": "\u2028"}\r\n\n{"b": 2}\n{"c"'.encode()
    expected = [{"a": "\u2028"}, {"b": 2}]
    for place in range(len(body)):
        found = await framed([body[:place], body[place:]], kind)
        assert [json.loads(data) for _, data in found] == expected


async def test_a_last_line_without_end_counts_when_it_is_whole() -> None:
    assert await framed([b'{"a": 1}\n', b'{"done": true}'], "application/x-ndjson") == [
        ("", '{"a": 1}'),
        ("", '{"done": true}'),
    ]


@pytest.mark.parametrize("kind", ["application/json", SSE, "text/plain", ""])
async def test_one_json_text_is_one_piece_whatever_it_is_called(kind: str) -> None:
    body = b'\n {\n "choices": []\n}\n'
    (found,) = await framed([body[place : place + 1] for place in range(len(body))], kind)
    assert json.loads(found[1]) == {"choices": []}


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", ""])
async def test_events_are_known_by_their_beginning_when_the_type_is_wrong(kind: str) -> None:
    assert await framed([b"da", b"ta: a\n\n"], kind) == [("", "a")]


@pytest.mark.parametrize("kind", ["text/html", SSE, "application/json"])
async def test_a_web_page_is_a_bad_answer_at_once(kind: str) -> None:
    with pytest.raises(BadAnswer, match="web page"):
        await framed([b"\n<!doc", b"type html>"], kind)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"data: ", SSE),
        (b": ", SSE),
        (b"{", "application/x-ndjson"),
        (b"{", "application/json"),
        (b"oops", "text/plain"),
    ],
)
async def test_a_piece_without_end_is_given_up_with_bounded_memory(
    start: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "MOST_BYTES", 10_000)
    assert transport.MOST_BYTES > 10_000
    with pytest.raises(BadAnswer, match="without end"):
        await framed([start, *[b"x" * 100] * 1000], kind)


async def test_an_event_of_endless_lines_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MOST_BYTES", 10_000)
    with pytest.raises(BadAnswer, match="without end"):
        await framed([b"data: xxxxxxxxxxxxxxxxxxxxxxxx\n"] * 1000)


async def test_many_pieces_are_together_more_than_one_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MOST_BYTES", 10_000)
    assert len(await framed([b"data: xxxxxxxxxxxxxxxxxxxxxxxx\n\n: y\n\n"] * 1000)) == 1000
