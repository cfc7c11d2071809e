"""Pick Best: which answer is best in each way, what ties and holes do, and when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from comfy_nodes.picking import WAYS, best_answers
from llm_bridge.chat import Metrics, Reply
from llm_bridge.compare import CellResult, Checked, Comparison, Preference, Prompt, Results, Variant, with_preferences
from llm_bridge.errors import BadInput
from tests.bridge.compare.models import answered

BOTH = answered({"a": ["sea of a", "sky"], "b": ["sea", "sky of b"]})


def texts(results: Results, way: str, prompts: str = "") -> list[str]:
    return [answer.reply.text for answer in best_answers(results, way, prompts) if answer.reply]


def prefers(prompt: str, winner: str, loser: str, by: str = "judge:j", repeat: int = 0) -> Preference:
    first, second = sorted((winner, loser))
    return Preference(prompt, "", repeat, first, second, "first" if winner == first else "second", by)


def measured(results: Results, metrics: Sequence[Metrics]) -> Results:
    cells = [
        replace(cell, reply=cell.reply and replace(cell.reply, metrics=each))
        for cell, each in zip(results.cells, metrics, strict=True)
    ]
    return replace(results, cells=cells)


def test_the_shortest_the_longest_and_the_first() -> None:
    assert texts(BOTH, "shortest") == ["sea", "sky"]
    assert texts(BOTH, "longest") == ["sea of a", "sky of b"]
    assert texts(BOTH, "first") == ["sea of a", "sky"]


@pytest.mark.parametrize("way", ["shortest", "longest", "first"])
def test_of_equal_answers_the_first_model_gave_the_best(way: str) -> None:
    best = best_answers(answered({"b": ["one", "two"], "a": ["two", "one"]}), way)
    assert [answer.cell.model for answer in best] == ["b", "b"]


def test_the_fastest_counts_tokens_per_second_and_what_is_not_known_comes_last() -> None:
    slow, fast, silent = Metrics(ttft=0.1, tokens_per_second=5), Metrics(ttft=0.9, tokens_per_second=50), Metrics()
    results = measured(BOTH, [slow, fast, silent, slow])
    assert texts(results, "fastest") == ["sea", "sky of b"]
    assert texts(results, "first token soonest") == ["sea of a", "sky of b"]


def test_the_answer_that_passes_most_checks_is_best() -> None:
    passed, failed = Checked("short", passed=True), Checked("rhymes", passed=False)
    checks = [(passed, failed), (passed, passed), (passed, passed), (failed, failed)]
    cells = [replace(cell, checks=checked) for cell, checked in zip(BOTH.cells, checks, strict=True)]
    assert texts(replace(BOTH, cells=cells), "most checks passed") == ["sea", "sky"]


@pytest.mark.parametrize("way", ["ranking", "most checks passed", "fastest", "first token soonest"])
def test_when_nothing_tells_one_from_another_none_is_picked_and_it_says_what_to_do(way: str) -> None:
    with pytest.raises(BadInput) as refused:
        best_answers(BOTH, way)
    assert refused.value.message and "choose another way" in refused.value.hint.lower()


@pytest.mark.parametrize("way", WAYS)
def test_a_model_alone_needs_nobody_to_compare_it(way: str) -> None:
    assert texts(answered({"a": ["one", "two"], "b": [None, None]}), way) == ["one", "two"]


def test_what_is_preferred_on_the_prompt_comes_before_the_overall_rating() -> None:
    games = [prefers("sea", "a", "b", f"person:{number}") for number in range(5)]
    results = with_preferences(BOTH, [*games, prefers("sky", "b", "a")])
    assert results.ranking[0].model == "a"
    assert texts(results, "ranking") == ["sea of a", "sky of b"]


def test_where_a_prompt_has_no_preference_or_a_draw_the_overall_rating_decides() -> None:
    results = with_preferences(BOTH, [prefers("sea", "b", "a")])
    assert texts(results, "ranking") == ["sea", "sky of b"]
    draw = [prefers("sky", "a", "b"), prefers("sky", "b", "a", "judge:other")]
    assert texts(with_preferences(results, draw), "ranking") == ["sea", "sky of b"]


def test_a_model_that_lost_is_no_better_than_one_that_nobody_judged() -> None:
    results = answered({"a": ["lost"], "b": ["won"], "c": ["unseen"]}, [Prompt("sea", "?")])
    results = with_preferences(results, [prefers("sea", "b", "a")])
    assert texts(results, "ranking") == ["won"]
    without = [cell for cell in results.cells if cell.cell.model != "b"]
    assert texts(replace(results, cells=without), "ranking") == ["unseen"]


def test_of_the_repeats_of_the_strongest_model_the_one_that_won_is_taken() -> None:
    matrix = Comparison(("a", "b"), (Prompt("sea", "?"),), repeats=3)
    cells = [CellResult(cell, Reply(f"{cell.model}{cell.repeat}")) for cell in matrix.cells]
    games = [prefers("sea", winner, loser, repeat=at) for at, (winner, loser) in enumerate(["ba", "ab", "ab"])]
    assert texts(with_preferences(Results(matrix, cells), games), "ranking") == ["a1"]


def test_every_variant_stands_for_itself() -> None:
    matrix = Comparison(("a",), (Prompt("sea", "?"),), (Variant("cold"), Variant("hot")))
    cells = [CellResult(cell, Reply("long" if cell.variant.name == "cold" else "s")) for cell in matrix.cells]
    assert texts(Results(matrix, cells), "shortest") == ["s"]


def test_a_prompt_without_an_answer_is_left_out_and_an_empty_answer_is_none() -> None:
    results = answered({"a": [None, " \n"], "b": [None, "longer"]})
    best = best_answers(results, "shortest")
    assert [(answer.cell.prompt.name, answer.cell.model) for answer in best] == [("sky", "b")]


def test_without_any_answer_it_says_why() -> None:
    with pytest.raises(BadInput, match=r"no answer to pick from\. It failed\."):
        best_answers(answered({"a": [None, None]}), "first")
    with pytest.raises(BadInput, match="no answer"):
        best_answers(answered({"a": ["", " "]}), "first")


def test_prompts_are_chosen_by_name_or_pattern() -> None:
    odd = answered({"a": ["1", "2", "3"]}, [Prompt("Sea", "?"), Prompt("seaside", "?"), Prompt("[sky]*", "?")])
    assert texts(odd, "first", "sea") == ["1"]
    assert texts(odd, "first", " SEA* ") == ["1", "2"]
    assert texts(odd, "first", "[sky]*") == ["3"]
    assert texts(odd, "first", "[s]*") == ["1", "2"]
    with pytest.raises(BadInput, match=r"'moon'.*Sea, seaside"):
        best_answers(odd, "first", "moon")


def test_an_unknown_way_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="first token soonest"):
        best_answers(BOTH, "magic")
