"""Thinking between tags is told from the answer, however the text is cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Event, Reasoning, Text
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
    ("", "", ""),
]
"""What the model writes, what of it is thought and what is said."""


def split(pieces: Iterable[str], *, opened: bool = False) -> tuple[str, str]:
    splitter = ThinkSplitter(opened=opened)
    events: list[Event] = [event for piece in pieces for event in splitter.feed(piece)]
    events += splitter.end()
    assert all(event.text for event in events if isinstance(event, Text | Reasoning))
    thought = "".join(event.text for event in events if isinstance(event, Reasoning))
    return thought, "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize(("written", "thought", "said"), CASES)
def test_thought_and_answer_are_told_apart_at_every_cut(written: str, thought: str, said: str) -> None:
    assert split([written]) == (thought, said)
    assert split(written) == (thought, said)
    for place in range(len(written)):
        assert split([written[:place], written[place:]]) == (thought, said)


@pytest.mark.parametrize(
    ("written", "thought", "said"),
    [("Hm.</think>\nHello", "Hm.", "Hello"), ("\nHm.", "Hm.", ""), ("</think>Hello", "", "Hello")],
)
def test_a_tag_that_the_prompt_opened_is_only_closed(written: str, thought: str, said: str) -> None:
    assert split([written], opened=True) == (thought, said)
    assert split(written, opened=True) == (thought, said)


_BITS = st.sampled_from(
    ["<think>", "</think>", "<", "think", ">", "/", "\n", " ", "a", "<thinking>", "</thinking>", "ü"]
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
