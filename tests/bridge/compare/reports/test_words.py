from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Metrics, Reply, Timings, Usage
from llm_bridge.compare.measures import Measures, measures
from llm_bridge.compare.reports.readable import count, duration, rate, share, visible, whole
from llm_bridge.compare.reports.table import columns, facts, headline, preferred, rated, remarks, rows, said, verdict
from llm_bridge.compare.results import Rank, Results
from llm_bridge.messages import ToolCall
from tests.bridge.compare.reports.samples import answered, hostile, partial


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0 ms"),
        (0.0421, "42 ms"),
        (0.0996, "0.10 s"),
        (1.234, "1.23 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125.2, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_times_have_a_unit_and_about_three_digits(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_speeds_and_counts_are_short_and_what_is_unknown_is_a_dash() -> None:
    assert [rate(45.2), rate(4.46), rate(9.96), rate(None)] == ["45 tok/s", "4.5 tok/s", "10 tok/s", "–"]
    assert [count(1204), count(12.5), count(10.0), count(None)] == ["1,204", "12.5", "10", "–"]
    assert [share(3, 4), share(0, 0)] == ["3 of 4", "–"]


@given(st.text(st.characters()))
def test_visible_text_has_no_controls_and_can_be_written(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not any((ord(sign) < 0x20 and sign not in "\t\n") or 0x7F <= ord(sign) < 0xA0 for sign in shown)
    assert not {*shown} & {*"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
    assert visible(shown) == shown


def test_controls_are_shown_and_line_breaks_become_line_feeds() -> None:
    assert visible("a\x00\x1b\x7f\u202e\ud800b") == "a␀␛⟨U+007F⟩⟨U+202E⟩\ufffdb"
    assert visible("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert whole("a\x00\ud800") == "a\x00\ufffd"


def test_speed_is_told_by_the_server_before_the_client_and_nothing_unknown_is_a_number() -> None:
    told = Reply(
        "four", "abc", timings=Timings(load=2.0, tokens_per_second=50.0), metrics=Metrics(tokens_per_second=40.0)
    )
    assert measures(told) == Measures(tokens_per_second=50.0, characters=4, reasoning_characters=3, load=2.0)
    assert measures(Reply(metrics=Metrics(tokens_per_second=40.0))).tokens_per_second == 40.0
    assert measures(None) == Measures()
    assert measures(Reply(metrics=Metrics(ttft=float("inf")))).ttft is None


def test_columns_of_which_nothing_is_known_are_left_out() -> None:
    empty = replace(partial(), cells=(), preferences=(), ranking=())
    assert [column.key for column in columns(empty)] == ["answers"]
    assert {"ttft", "tokens_per_second", "seconds"} <= {column.key for column in columns(answered(("x",)))}


def test_every_row_has_a_place_for_every_model() -> None:
    sides = rows(partial())
    assert [(row.prompt.name, row.label) for row in sides] == [
        ("one", ""),
        ("one", "repeat 2"),
        ("two", ""),
        ("two", "repeat 2"),
    ]
    assert [[cell is not None for cell in row.cells] for row in sides] == [
        [True, True],
        [True, False],
        [False] * 2,
        [False] * 2,
    ]
    assert [len(row.preferences) for row in sides] == [1, 0, 0, 0]


def test_the_remarks_tell_all_that_is_not_whole() -> None:
    assert headline(partial()) == "2 models · 2 prompts · 2 repeats: 2 of 8 cells answered, 1 failed, 5 not run"
    assert remarks(partial()) == (
        "Not run yet: 5 cells.",
        "Failed, and counted in no median: 1 cell.",
        "Cut off by the limit of tokens: 1 cell.",
        "Answered in an earlier run, and measured then: 1 cell.",
        "Not ranked, as nobody has compared them: beta.",
        "The judge changed its mind with the order in 1 of 1; those count as ties.",
        "A note of the run.",
    )
    assert remarks(answered(("x",))) == ("Not ranked: nobody has compared the answers yet.",)
    assert remarks(answered(("x",), ("alone",))) == ()


def test_a_cell_is_told_in_words() -> None:
    first = partial().cells[0]
    assert ("First token", "0.42 s") in facts(first)
    assert verdict(first) == "1 of 2 checks passed; failed: short (12 words)"
    assert said(Reply("", tool_calls=(ToolCall("1", "find", "{}"),))) == "→ calls find({})"
    assert preferred(partial().preferences[0]) == (
        "judge:gamma: alpha and beta alike (changed its mind with the order) – Both are fine."
    )
    assert rated(Rank("a", 1012.4, None, None, 1, 1)) == "1012"
    assert rated(Rank("a", 1012.4, 990.6, 1030.2, 9, 4)) == "1012 (991–1030)"


def test_an_answer_of_zero_tokens_per_second_is_not_unknown() -> None:
    slow = Reply(metrics=Metrics(tokens_per_second=0.0), usage=Usage(completion=0))
    assert (measures(slow).tokens_per_second, measures(slow).tokens) == (0.0, 0)


def test_hostile_results_are_rows_like_others() -> None:
    results: Results = hostile()
    assert len(rows(results)) == len(results.comparison.prompts)
