"""What the difference between two texts is, in every script, and that it stays quick."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.compare.diff import Piece, word_diff
from llm_bridge.compare.words import count_words, pieces

WORDS = st.lists(st.sampled_from(["the", "sea", "is", ",", "\n", "  ", "世", "界", "é"]), max_size=30).map("".join)


def test_words_are_same_changed_removed_or_added() -> None:
    assert word_diff("The sea is blue.", "The sky is blue today.") == (
        Piece("same", "The ", "The "),
        Piece("changed", "sea ", "sky "),
        Piece("same", "is blue", "is blue "),
        Piece("added", "", "today"),
        Piece("same", ".", "."),
    )
    assert word_diff("a b", "a") == (Piece("same", "a ", "a"), Piece("removed", "b", ""))


def test_chinese_and_japanese_differ_by_character() -> None:
    assert [piece for piece in word_diff("今天天气很好。", "今天天气不好。") if piece.op != "same"] == [
        Piece("changed", "很", "不")
    ]
    assert word_diff("ねこです", "いぬです")[0] == Piece("changed", "ねこ", "いぬ")


def test_korean_differs_by_word() -> None:
    assert word_diff("바다는 넓다", "하늘은 넓다")[0] == Piece("changed", "바다는 ", "하늘은 ")


def test_nothing_differs_in_equal_texts_however_long() -> None:
    text = "a " * 100_000
    assert [piece.op for piece in word_diff(text, text)] == ["same"]
    assert word_diff("", "") == ()


def test_only_the_middle_differs_in_texts_of_one_word_over_and_over() -> None:
    left, right = "a " * 900 + "x " + "a " * 900, "a " * 900 + "y " + "a " * 900
    assert [(piece.op, len(piece.left)) for piece in word_diff(left, right)] == [
        ("same", 1800),
        ("changed", 2),
        ("same", 1800),
    ]


def test_more_words_than_can_be_matched_are_matched_by_line_and_then_as_a_whole() -> None:
    line = "word " * 300 + "\n"
    assert [piece.op for piece in word_diff(line * 10 + "end\n", line * 10 + "stop\n")] == ["same", "changed"]
    assert [piece.op for piece in word_diff("x\n" * 5000, "y\n" * 5000)] == ["changed"]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a b " * 1000, "a c " * 1000),
        (" ".join(f"x{n % 50} u{n}" for n in range(1000)), " ".join(f"x{n % 50} v{n}" for n in range(1000))),
        (" ".join(f"w{n % 101}" for n in range(2000)), " ".join(f"w{n * 7 % 101}" for n in range(2000))),
        ("的" * 1999, "的一" * 999),
    ],
)
def test_texts_that_are_hard_to_match_take_no_minutes(left: str, right: str) -> None:
    start = time.process_time()
    word_diff(left, right)
    assert time.process_time() - start < 10


@given(WORDS | st.text(), WORDS | st.text())
def test_the_pieces_are_all_of_both_texts_and_only_same_ones_agree(left: str, right: str) -> None:
    found = word_diff(left, right)
    assert "".join(piece.left for piece in found) == left
    assert "".join(piece.right for piece in found) == right
    for piece in found:
        same = [word.strip() for word in pieces(piece.left)] == [word.strip() for word in pieces(piece.right)]
        assert (piece.op == "same") == same
    assert all(one.op != two.op for one, two in pairwise(found))


@given(st.text())
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one, two -- 3!", 3),
        ("it's fine", 2),
        ("你好，世界！ok", 5),
        ("हिन्दी में", 2),
        ("한국어 문장", 2),
        ("\n\t", 0),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert count_words(text) == words
