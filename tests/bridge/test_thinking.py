"""Thinking between tags is told from the answer, however the text is cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Event, Reasoning, Restarted, Text, Transcript
from llm_bridge.thinking import ThinkSplitter

CASES = [
    ("Hello", "", "Hello"),
    ("<think>Hm.</think>Hello", "Hm.", "Hello"),
    ("<think>\nHm.\n</think>\n\nHello\n", "Hm.\n", "Hello\n"),
    ("\n <thinking>Hm.</thinking> Hello", "Hm.", "Hello"),
    ("<thought>Hm.</thought>Hello", "Hm.", "Hello"),
    ("<reasoning>Hm.</reasoning>Hello", "Hm.", "Hello"),
    ("<think></think>Hello", "", "Hello"),
    ("<think>\n\n</think>\n\nHello", "", "Hello"),
    ("<think>a < b </thin </thinking> </think>c", "a < b </thin </thinking> ", "c"),
    ("<think>one</think><think>two</think>Hello", "onetwo", "Hello"),
    ("<think>cut off", "cut off", ""),
    ("<think>cut off</thi", "cut off</thi", ""),
    ("<thi", "", "<thi"),
    ("<b>Hello</b>", "", "<b>Hello</b>"),
    ("Write <think>x</think>", "", "Write <think>x</think>"),
    ("<think>Hm.</think>Write <think>x</think>", "Hm.", "Write <think>x</think>"),
    ("  indented", "", "  indented"),
    ("<think>Hm.</think>\n", "Hm.", ""),
    ("</think>Hello", "", "Hello"),
    ("Hm.</think>\n\nHello", "Hm.", "Hello"),
    ("\nHm.\n</think>\nHello\n", "Hm.\n", "Hello\n"),
    ("Hm.</think>\n<think>More.</think>Hello", "Hm.More.", "Hello"),
    ("Hm.</think>", "Hm.", ""),
    ("Write </think> there\n</think>\n", "", "Write </think> there\n</think>\n"),
    ("Like this:\n<think>\nHm.\n</think>\n", "", "Like this:\n<think>\nHm.\n</think>\n"),
    ("<think>Hm.</think>Write\n</think>\n", "Hm.", "Write\n</think>\n"),
    ("", "", ""),
]
"""What the model writes, what of it is thought and what is said."""


def split(pieces: Iterable[str]) -> tuple[str, str]:
    splitter, told = ThinkSplitter(), Transcript()
    events: list[Event] = [event for piece in pieces for event in splitter.feed(piece)]
    events += splitter.end()
    assert all(event.text for event in events[1:] if isinstance(event, Text | Reasoning))
    for event in events:
        told.add(event)
    return told.reasoning, told.text


@pytest.mark.parametrize(("written", "thought", "said"), CASES)
def test_thought_and_answer_are_told_apart_at_every_cut(written: str, thought: str, said: str) -> None:
    assert split([written]) == (thought, said)
    assert split(written) == (thought, said)
    for place in range(len(written)):
        assert split([written[:place], written[place:]]) == (thought, said)


_BITS = st.sampled_from(
    ["<think>", "</think>", "</think>\n", "<", "think", ">", "/", "\n", " ", "a", "<thinking>", "</thinking>", "ü"]
)


@given(st.lists(_BITS, max_size=12), st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_cuts_never_change_what_comes_out(bits: list[str], sizes: list[int]) -> None:
    written, parts, place = "".join(bits), list[str](), 0
    for turn in range(len(written)):
        parts.append(written[place : place + sizes[turn % len(sizes)]])
        place += sizes[turn % len(sizes)]
    assert split(parts) == split([written])


def test_nothing_is_held_back_once_the_answer_has_begun() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("Hi") == [Text("Hi")]
    assert splitter.feed(" <thi") == [Text(" <thi")]
    assert splitter.end() == []


def test_what_is_thought_comes_at_once_but_for_what_may_be_the_tag() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("<think>abc</") == [Reasoning("abc")]
    assert splitter.feed("x") == [Reasoning("</x")]


def test_what_was_told_as_text_is_taken_back_when_a_closing_tag_shows_that_it_was_thought() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("Hm.</thi") == [Text("Hm.</thi")]
    assert splitter.feed("nk>") == [Text("nk>")]
    taken_back, *again = splitter.feed("\nHello")
    assert isinstance(taken_back, Restarted)
    assert again == [Reasoning("Hm."), Text("Hello")]


def test_nothing_is_taken_back_when_all_comes_in_one_piece() -> None:
    assert ThinkSplitter().feed("Hm.</think>\n\nHello") == [Reasoning("Hm."), Text("Hello")]


@pytest.mark.parametrize("held", ["\n", "<thi", "<think>"])
def test_an_empty_event_stands_once_for_the_first_piece_that_is_held_back(held: str) -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("") == []
    assert splitter.feed(held) == [Text("")]
    assert Text("") not in splitter.feed("\n")
