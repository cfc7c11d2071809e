"""The JSON table of a comparison: its shape, which the page reads, and its bounds."""

from __future__ import annotations

import json
from dataclasses import replace

from comfy_nodes.table import Growing, cell_of, places_of, table_of
from comfy_nodes.values import Compared
from llm_bridge.chat import Metrics, Reply, Timings, Usage
from llm_bridge.compare import CellResult, Checked, Comparison, Failure, Preference, Prompt, Results, Variant
from llm_bridge.compare.ranking import with_preferences
from llm_bridge.messages import Image

SEA, SKY = Prompt("sea", "Write about the sea."), Prompt("sky", "Write about the sky.")
MATRIX = Comparison(("a", "b"), (SEA, SKY), (Variant("cold"), Variant("warm")), 2)
REPLY = Reply(
    "Blue.", "Hm.", usage=Usage(completion=2), metrics=Metrics(ttft=0.5), timings=Timings(tokens_per_second=9)
)


def all_answered(matrix: Comparison, reply: Reply) -> Results:
    return Results(matrix, tuple(CellResult(cell, reply) for cell in matrix.cells))


def test_rows_are_the_prompts_variants_and_repeats_in_the_order_of_the_cells() -> None:
    table = table_of(Compared(Results(MATRIX), "id"))
    assert table["run"] == "id" and table["models"] == ["a", "b"]
    assert table["rows"][:3] == [["sea", "cold", 0], ["sea", "cold", 1], ["sea", "warm", 0]]
    assert table["prompts"] == {"sea": "Write about the sea.", "sky": "Write about the sky."}
    found = [(table["rows"][cell["row"]], table["models"][cell["model"]]) for cell in table["cells"]]
    assert found == [([*cell.place[:3]], cell.model) for cell in MATRIX.cells]


def test_a_cell_without_a_result_waits() -> None:
    cells = table_of(Compared(Results(MATRIX), "id"))["cells"]
    assert cells[0] == {"row": 0, "model": 0, "state": "waiting", "text": "", "cached": False}
    assert len(cells) == len(MATRIX)


def test_an_answer_has_what_was_measured_and_checked_and_nothing_that_is_unknown() -> None:
    result = CellResult(MATRIX.cells[1], REPLY, checks=(Checked("json", False, "No JSON."),), cached=True)
    assert cell_of((0, 1), result) == {
        "row": 0, "model": 1, "state": "done", "text": "Blue.", "reasoning": "Hm.", "ttft": 0.5,
        "tokens_per_second": 9, "tokens": 2, "cached": True,
        "checks": [{"rule": "json", "passed": False, "told": "No JSON."}],
    }  # fmt: skip
    bare = cell_of((0, 1), CellResult(MATRIX.cells[1], Reply("Blue.")))
    assert bare == {"row": 0, "model": 1, "state": "done", "text": "Blue.", "cached": False}


def test_a_failure_says_why_and_what_to_do() -> None:
    result = CellResult(MATRIX.cells[0], failure=Failure("load_failed", "It does not fit.", "Take a smaller one."))
    told = cell_of((0, 0), result)
    assert told["state"] == "failed" and told["text"] == ""
    assert told["error"] == "It does not fit. Take a smaller one."


def test_of_a_text_that_grows_the_end_is_told() -> None:
    told = cell_of((0, 0), Growing("text", "a" * 3000 + "end", "thought"))
    assert len(told["text"]) == 2000 and told["text"].endswith("end")
    assert told["state"] == "text" and told["reasoning"] == "thought"


def test_of_a_long_answer_the_table_has_the_beginning_and_says_that_there_is_more() -> None:
    table = table_of(Compared(all_answered(Comparison(("a",), (SEA,)), Reply("x" * 30_000)), "id"))
    text = table["cells"][0]["text"]
    assert text.startswith("x" * 20_000) and text.endswith("(10000 more characters are in the exports)")


def test_a_large_table_stays_small_enough_for_a_page() -> None:
    prompts = tuple(Prompt(f"prompt {number}", "ask" * 500) for number in range(1000))
    table = table_of(Compared(all_answered(Comparison(("a", "b"), prompts), Reply("海" * 5_000, "x" * 5_000)), "id"))
    assert len(table["cells"]) == 2000
    assert len(json.dumps(table)) < 2_000_000
    assert "more characters are in the exports" in table["cells"][0]["text"]


def test_what_checks_and_notes_say_counts_as_well() -> None:
    prompts = tuple(Prompt(f"prompt {number}", "ask") for number in range(2000))
    matrix = Comparison(("a",), prompts)
    checks = (Checked("regex:" + "x" * 300, False, "It does not fit. " * 200),)
    cells = tuple(CellResult(cell, REPLY, checks=checks) for cell in matrix.cells)
    table = table_of(Compared(Results(matrix, cells, notes=("note " * 1000,) * 500), "id"))
    assert len(json.dumps(table)) < 2_000_000
    (checked,) = table["cells"][0]["checks"]
    assert checked["rule"].startswith("regex:xxx") and checked["passed"] is False
    assert "more characters" in checked["told"] and any(note.startswith("note note") for note in table["notes"])


def test_of_very_many_cells_the_texts_are_left_out() -> None:
    prompts = tuple(Prompt(f"p{number}", "ask " * 800) for number in range(1000))
    models = tuple("abcdefghij")
    table = table_of(Compared(all_answered(Comparison(models, prompts), Reply("y" * 3000)), "id"))
    assert len(json.dumps(table)) < 2_000_000 and len(table["cells"]) == 10_000
    assert table["cells"][0]["text"] == " … (3000 more characters are in the exports)"


def test_the_ranking_and_the_notes_are_told() -> None:
    preference = Preference("sea", "cold", 0, "a", "b", "first", "person:me")
    results = with_preferences(all_answered(MATRIX, REPLY), [preference])
    table = table_of(Compared(replace(results, notes=("Mind the gap.",)), "id"))
    assert [rank["model"] for rank in table["ranking"]] == ["a", "b"]
    assert table["ranking"][0].keys() == {"model", "rating", "low", "high", "games", "wins"}
    assert "Mind the gap." in table["notes"]


def test_a_prompt_with_pictures_says_how_many() -> None:
    seen = Prompt("seen", "What is it?", images=(Image(b"\x89PNG1"), Image(b"\x89PNG2")))
    table = table_of(Compared(Results(Comparison(("a",), (seen,))), "id"))
    assert table["prompts"] == {"seen": "[2 pictures] What is it?"}


def test_every_cell_has_one_place() -> None:
    places = places_of(MATRIX)
    assert len({*places.values()}) == len(MATRIX)
    assert places["sky", "warm", 1, "b"] == (7, 1)
