from __future__ import annotations

import csv
import io
import re

from hypothesis import example, given
from hypothesis import strategies as st

from llm_bridge.compare.reports import spreadsheet
from llm_bridge.compare.reports.readable import whole
from llm_bridge.compare.reports.spreadsheet import COLUMNS
from tests.bridge.compare.reports.samples import HOSTILE, answered, hostile, partial


def read(text: str) -> list[dict[str, str]]:
    """As the module says that programs read it: one leading apostrophe is taken away."""
    written = text.encode().decode()
    lines = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    return [dict(zip(COLUMNS, (cell.removeprefix("'") for cell in line), strict=True)) for line in lines[1:]]


@given(st.text(st.characters()))
@example("'=1")
@example("'")
@example("''")
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert read(spreadsheet(answered((text,), ("alpha",))))[0]["text"] == whole(text)


@given(st.sampled_from("=+-@\t\r\n＝＋－＠'"), st.text())
def test_no_cell_begins_like_a_formula(first: str, rest: str) -> None:
    lines = csv.reader(io.StringIO(spreadsheet(answered((first + rest,), ("alpha",))), newline=""))
    for cell in [cell for line in lines for cell in line]:
        assert not re.match("[=+@\t\r\n＝＋－＠-]", cell)


def test_hostile_results_give_a_row_for_every_cell() -> None:
    found = read(spreadsheet(hostile()))
    assert len(found) == len(hostile().comparison)
    assert [row["text"] for row in found if row["model"].startswith("a|b")] == [whole(text) for text in HOSTILE]


def test_lines_end_as_the_standard_says_and_the_metrics_stand_as_numbers() -> None:
    text = spreadsheet(partial())
    assert text.count("\r\n") == 9
    rows = read(text)
    first, failed, old, *missing = rows[0], rows[1], rows[2], *rows[3:]
    assert (first["state"], first["ttft"], first["tokens"], first["tokens_per_second"]) == (
        "answered",
        "0.42",
        "312",
        "45.2",
    )
    assert (first["checks_passed"], first["checks_made"], first["checks_failed"]) == ("1", "2", "short: 12 words")
    assert (failed["state"], failed["error"], failed["hint"], failed["ttft"]) == (
        "failed",
        "server_lost",
        "Start it again.",
        "",
    )
    assert (old["repeat"], old["cached"], old["finish"], old["tokens"]) == ("2", "yes", "length", "")
    assert {row["state"] for row in missing} == {"missing"}
