"""What a reader who is behind gets: everything that was said, in fewer pieces, and progress only as it is now."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Done, Event, Loading, Prompting, Reasoning, Text, ToolCallPiece, Transcript, Waiting
from llm_bridge.queue.feed import Feed

PIECES = st.lists(
    st.one_of(
        st.builds(Text, st.text(max_size=3)),
        st.builds(Reasoning, st.text(max_size=3)),
        st.builds(ToolCallPiece, st.integers(0, 1), st.text(max_size=3), st.sampled_from(["", "", "id"])),
    ),
    max_size=30,
)


async def read(feed: Feed) -> list[Event]:
    events: list[Event] = []
    while (event := await feed.get()) is not None:
        events.append(event)
    return events


def total(events: list[Event]) -> Transcript:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return transcript


@given(PIECES)
def test_nothing_that_was_said_is_lost_however_late_it_is_read(pieces: list[Event]) -> None:
    feed = Feed()
    for piece in (*pieces, Done("stop")):
        feed.put(piece)
    feed.end()
    assert total(asyncio.run(read(feed))).reply == total([*pieces, Done("stop")]).reply


async def test_a_long_answer_that_nobody_reads_is_one_piece() -> None:
    feed = Feed()
    for _ in range(5000):
        feed.put(Text("ab"))
    feed.end()
    assert await read(feed) == [Text("ab" * 5000)]


async def test_only_the_newest_progress_is_told_and_no_stage_twice() -> None:
    feed = Feed()
    for event in (Waiting(3), Waiting(2), Loading("m"), Waiting(1), Prompting(1, 9), Loading("m"), Prompting(9, 9)):
        feed.put(event)
    feed.end()
    assert await read(feed) == [Waiting(2), Loading("m"), Prompting(9, 9)]


async def test_a_failure_comes_after_what_was_there_before_it() -> None:
    feed = Feed()
    feed.put(Text("a"))
    feed.end(ValueError("first"))
    feed.end(ValueError("second"))
    feed.put(Text("b"))
    assert await feed.get() == Text("a")
    with pytest.raises(ValueError, match="first"):
        await feed.get()


async def test_a_reader_is_woken() -> None:
    feed = Feed()
    reading = asyncio.create_task(read(feed))
    await asyncio.sleep(0)
    feed.put(Text("a"))
    await asyncio.sleep(0)
    feed.put(Text("b"))
    feed.end()
    assert await reading == [Text("a"), Text("b")]
