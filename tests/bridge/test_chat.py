"""What events add up to, how fast a reply was, and of what type a picture is."""

from __future__ import annotations

import time

import pytest

from llm_bridge.chat import (
    Done,
    Metrics,
    Reasoning,
    Reply,
    Restarted,
    Text,
    Timings,
    ToolCallPiece,
    Transcript,
)
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image


def test_what_came_before_a_new_beginning_is_not_in_the_reply() -> None:
    told = Transcript()
    first = [Text("No."), Reasoning("Hm."), ToolCallPiece(0, "{}", "c", "f"), Done("length")]
    for event in [*first, Restarted("Again."), Text("Yes.")]:
        told.add(event)
    assert told.reply == Reply("Yes.")
    assert told.done is None


@pytest.mark.parametrize(
    ("server", "client", "rate"), [(50.0, 40.0, 50.0), (None, 40.0, 40.0), (0.0, 40.0, 0.0), (None, None, None)]
)
def test_the_servers_clock_goes_before_the_clients(
    server: float | None, client: float | None, rate: float | None
) -> None:
    reply = Reply(timings=Timings(tokens_per_second=server), metrics=Metrics(tokens_per_second=client))
    assert reply.tokens_per_second == rate


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff...", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\0\0\0\0WEBP...", "image/webp"),
    ],
)
def test_a_picture_is_of_the_type_that_its_bytes_tell(data: bytes, mime: str) -> None:
    assert Image.of(data) == Image(data, mime)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"RIFF\0\0\0\0WAVE", b"PNG"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="no PNG") as refused:
        Image.of(data)
    assert refused.value.hint


def test_a_call_of_many_pieces_is_put_together_in_good_time() -> None:
    told, began = Transcript(), time.perf_counter()
    for _ in range(200_000):
        told.add(ToolCallPiece(0, "a few letters "))
    assert len(told.reply.tool_calls[0].arguments) == 200_000 * 14
    assert time.perf_counter() - began < 10
