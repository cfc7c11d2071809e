"""One line for each model: medians of what is known, and None for what is not."""

from __future__ import annotations

from dataclasses import replace

from llm_bridge.chat import Metrics, Reply, Timings, Usage
from llm_bridge.compare import CellResult, Checked, Preference, with_preferences
from llm_bridge.compare.summary import summary
from tests.bridge.compare.models import answered


def told(result: CellResult, text: str, metrics: Metrics, *, tokens: int | None, passed: bool) -> CellResult:
    reply = Reply(text, "hm" * len(text), usage=Usage(completion=tokens), metrics=metrics, timings=Timings(load=9.0))
    return replace(result, reply=reply, checks=(Checked("json", passed), Checked("regex:x", True)))


def test_measures_are_medians_of_the_answers_that_tell_them() -> None:
    results = answered({"a": ["", ""], "b": [None, ""]})
    cells = list(results.cells)
    cells[0] = told(cells[0], "xx", Metrics(ttft=1.0, seconds=2.0, queued=0.0), tokens=10, passed=True)
    cells[2] = told(cells[2], "xxxx", Metrics(ttft=3.0, load=1.0), tokens=None, passed=False)
    first, second = summary(
        with_preferences(replace(results, cells=cells), [Preference("sea", "", 0, "a", "b", "tie", "judge:j")])
    )
    assert (first.model, first.answers, first.failures) == ("a", 2, 0)
    assert (first.ttft, first.seconds, first.queued, first.load) == (2.0, 2.0, 0.0, 5.0)
    assert (first.tokens, first.characters, first.reasoning_characters) == (10, 3, 6)
    assert first.tokens_per_second is None
    assert (first.checks_passed, first.checks_made) == (3, 4)
    assert first.rating and first.rating.model == "a"
    assert (second.answers, second.failures, second.ttft, second.characters) == (1, 1, None, 0)


def test_a_model_without_results_is_there_all_the_same() -> None:
    lines = summary(
        replace(answered({"b": ["x"], "a": ["y"]}, answered({"x": ["", ""]}).comparison.prompts[:1]), cells=())
    )
    assert [(line.model, line.answers, line.failures, line.rating) for line in lines] == [
        ("b", 0, 0, None),
        ("a", 0, 0, None),
    ]
