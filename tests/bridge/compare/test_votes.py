"""Blind votes: what a voter sees, what a vote says, and when the models are told."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from llm_bridge.chat import Reply
from llm_bridge.compare import Folder, Results, ballots, compare, vote
from llm_bridge.errors import BadInput
from tests.bridge.compare.models import PROMPTS, TWO, Models, answered

RESULTS = answered({"secret-a": ["one", "1"], "secret-b": ["two", "2"], "secret-c": ["three", None]})


def labels(results: Results, voter: str) -> list[str]:
    """The answers of the first ballot, in the order the voter sees them."""
    return [choice.text for choice in ballots(results, voter)[0].choices]


def label_of(text: str, voter: str) -> str:
    return next(choice.label for choice in ballots(RESULTS, voter)[0].choices if choice.text == text)


def test_a_ballot_shows_the_answers_and_no_model() -> None:
    first, second = ballots(RESULTS, "ann")
    assert [choice.label for choice in first.choices] == ["A", "B", "C"]
    assert {choice.text for choice in first.choices} == {"one", "two", "three"}
    assert [choice.label for choice in second.choices] == ["A", "B"]
    assert (first.prompt, second.prompt) == PROMPTS
    assert "secret" not in str(asdict(first))


def test_where_fewer_than_two_answered_there_is_no_ballot() -> None:
    assert ballots(answered({"a": ["x", None], "b": [None, None]}), "ann") == ()


def test_a_voter_sees_one_order_always_and_others_see_others() -> None:
    assert labels(RESULTS, "ann") == labels(RESULTS, "ann")
    orders = {tuple(labels(RESULTS, f"voter {number}")) for number in range(60)}
    assert len(orders) == 6


def test_no_place_is_better_than_another() -> None:
    first = [labels(RESULTS, f"voter {number}")[0] for number in range(600)]
    for text in ("one", "two", "three"):
        assert 150 < first.count(text) < 250


def test_the_best_beats_each_other_and_the_models_are_told_now() -> None:
    ballot = ballots(RESULTS, "ann")[0]
    given = vote(RESULTS, "ann", ballot.id, label_of("two", "ann"))
    assert [(one.first, one.second, one.winner) for one in given.preferences] == [
        ("secret-a", "secret-b", "second"),
        ("secret-b", "secret-c", "first"),
    ]
    assert {one.by for one in given.preferences} == {"person:ann"}
    assert given.models[label_of("three", "ann")] == "secret-c"


def test_a_tie_is_one_between_all() -> None:
    given = vote(RESULTS, "ann", ballots(RESULTS, "ann")[0].id, "tie")
    assert [one.winner for one in given.preferences] == ["tie"] * 3


async def test_a_second_vote_replaces_the_first_and_the_ballot_says_that_they_voted(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    results = await compare(TWO, Models(), folder=folder)
    ballot = ballots(results, "ann")[0]
    for best in ("A", "tie", "B"):
        await folder.prefer(vote(results, "ann", ballot.id, best).preferences)
    await folder.prefer(vote(results, "bob", ballots(results, "bob")[0].id, "A").preferences)
    read = await folder.read()
    assert sorted(one.by for one in read.preferences) == ["person:ann", "person:bob"]
    assert read.preferences[0] == vote(results, "ann", ballot.id, "B").preferences[0]
    assert [one.voted for one in ballots(read, "ann")] == [True, False]
    assert [one.voted for one in ballots(read, "carl")] == [False, False]


def test_a_ballot_whose_answers_have_changed_is_refused() -> None:
    ballot = ballots(RESULTS, "ann")[0]
    changed = replace(RESULTS, cells=[replace(RESULTS.cells[0], reply=Reply("other")), *RESULTS.cells[1:]])
    with pytest.raises(BadInput, match="have changed"):
        vote(changed, "ann", ballot.id, "A")
    with pytest.raises(BadInput, match="have changed"):
        vote(replace(RESULTS, cells=RESULTS.cells[1:]), "ann", ballot.id, "A")


def test_the_ballot_of_another_order_is_refused() -> None:
    other = next(name for name in "bcdefg" if labels(RESULTS, name) != labels(RESULTS, "ann"))
    with pytest.raises(BadInput, match="no such ballot"):
        vote(RESULTS, "ann", ballots(RESULTS, other)[0].id, "A")


@pytest.mark.parametrize(
    ("voter", "best", "says"), [("ann", "D", "no such answer"), ("", "A", "name"), (" ", "A", "name")]
)
def test_a_vote_that_makes_no_sense_is_refused(voter: str, best: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        vote(RESULTS, voter, ballots(RESULTS, "ann")[0].id, best)


def test_thirty_answers_have_thirty_labels() -> None:
    many = answered({f"m{number}": ["x", None] for number in range(30)})
    shown = [choice.label for choice in ballots(many, "ann")[0].choices]
    assert shown[:2] == ["A", "B"]
    assert shown[25:28] == ["Z", "AA", "AB"]
    assert len({*shown}) == 30
