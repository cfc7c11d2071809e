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
SALT = "grains"


def labels(results: Results, voter: str, salt: str = SALT) -> list[str]:
    """The answers of the first ballot, in the order the voter sees them."""
    return [choice.text for choice in ballots(results, voter, salt)[0].choices]


def label_of(text: str, voter: str) -> str:
    return next(choice.label for choice in ballots(RESULTS, voter, SALT)[0].choices if choice.text == text)


def test_a_ballot_shows_the_answers_and_no_model() -> None:
    first, second = ballots(RESULTS, "ann", SALT)
    assert [choice.label for choice in first.choices] == ["A", "B", "C"]
    assert {choice.text for choice in first.choices} == {"one", "two", "three"}
    assert [choice.label for choice in second.choices] == ["A", "B"]
    assert (first.prompt, second.prompt) == PROMPTS
    assert "secret" not in str(asdict(first))


def test_neither_the_id_nor_the_order_can_be_reckoned_without_the_salt() -> None:
    assert ballots(RESULTS, "ann", "other")[0].id != ballots(RESULTS, "ann", SALT)[0].id
    assert len({tuple(labels(RESULTS, "ann", f"salt {number}")) for number in range(60)}) == 6


async def test_each_run_has_a_salt_of_its_own_that_stays(tmp_path: Path) -> None:
    one, two = Folder(tmp_path / "one"), Folder(tmp_path / "two")
    for folder in (one, two):
        await compare(TWO, Models(), folder=folder)
    before = await one.salt()
    assert before and before != await two.salt()
    await compare(TWO, Models(), folder=one)
    assert await Folder(tmp_path / "one").salt() == before


def test_where_fewer_than_two_answered_there_is_no_ballot() -> None:
    assert ballots(answered({"a": ["x", None], "b": [None, None]}), "ann", SALT) == ()


def test_a_voter_sees_one_order_always_and_others_see_others() -> None:
    assert labels(RESULTS, "ann") == labels(RESULTS, "ann")
    orders = {tuple(labels(RESULTS, f"voter {number}")) for number in range(60)}
    assert len(orders) == 6


def test_no_place_is_better_than_another() -> None:
    first = [labels(RESULTS, f"voter {number}")[0] for number in range(600)]
    for text in ("one", "two", "three"):
        assert 150 < first.count(text) < 250


def test_the_best_beats_each_other_and_the_models_are_told_now() -> None:
    ballot = ballots(RESULTS, "ann", SALT)[0]
    given = vote(RESULTS, "ann", ballot.id, label_of("two", "ann"), SALT)
    assert [(one.first, one.second, one.winner) for one in given.preferences] == [
        ("secret-a", "secret-b", "second"),
        ("secret-b", "secret-c", "first"),
    ]
    assert {one.by for one in given.preferences} == {"person:ann"}
    assert given.models[label_of("three", "ann")] == "secret-c"


def test_a_tie_is_one_between_all() -> None:
    given = vote(RESULTS, "ann", ballots(RESULTS, "ann", SALT)[0].id, "tie", SALT)
    assert [one.winner for one in given.preferences] == ["tie"] * 3


async def test_a_second_vote_replaces_the_first_and_the_ballot_says_that_they_voted(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    results = await compare(TWO, Models(), folder=folder)
    salt = await folder.salt()
    ballot = ballots(results, "ann", salt)[0]
    for best in ("A", "tie", "B"):
        await folder.prefer(vote(results, "ann", ballot.id, best, salt).preferences)
    await folder.prefer(vote(results, "bob", ballots(results, "bob", salt)[0].id, "A", salt).preferences)
    read = await folder.read()
    assert sorted(one.by for one in read.preferences) == ["person:ann", "person:bob"]
    assert read.preferences[0] == vote(results, "ann", ballot.id, "B", salt).preferences[0]
    assert [one.voted for one in ballots(read, "ann", salt)] == [True, False]
    assert [one.voted for one in ballots(read, "carl", salt)] == [False, False]


def test_a_ballot_whose_answers_have_changed_is_refused() -> None:
    ballot = ballots(RESULTS, "ann", SALT)[0]
    changed = replace(RESULTS, cells=[replace(RESULTS.cells[0], reply=Reply("other")), *RESULTS.cells[1:]])
    with pytest.raises(BadInput, match="have changed"):
        vote(changed, "ann", ballot.id, "A", SALT)
    with pytest.raises(BadInput, match="have changed"):
        vote(replace(RESULTS, cells=RESULTS.cells[1:]), "ann", ballot.id, "A", SALT)


def test_the_ballot_of_another_order_is_refused() -> None:
    other = next(name for name in "bcdefg" if labels(RESULTS, name) != labels(RESULTS, "ann"))
    with pytest.raises(BadInput, match="no such ballot"):
        vote(RESULTS, "ann", ballots(RESULTS, other, SALT)[0].id, "A", SALT)


@pytest.mark.parametrize(
    ("voter", "best", "says"), [("ann", "D", "no such answer"), ("", "A", "name"), (" ", "A", "name")]
)
def test_a_vote_that_makes_no_sense_is_refused(voter: str, best: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        vote(RESULTS, voter, ballots(RESULTS, "ann", SALT)[0].id, best, SALT)


def test_thirty_answers_have_thirty_labels() -> None:
    many = answered({f"m{number}": ["x", None] for number in range(30)})
    shown = [choice.label for choice in ballots(many, "ann", SALT)[0].choices]
    assert shown[:2] == ["A", "B"]
    assert shown[25:28] == ["Z", "AA", "AB"]
    assert len({*shown}) == 30
