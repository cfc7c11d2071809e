"""What a comparison is made of, and the keys of its cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from llm_bridge.chat import Sampling
from llm_bridge.compare.matrix import Cell, Comparison, Prompt, Variant
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image

SEA = Prompt("sea", "Write about the sea.", system="Be short.", images=(Image(b"one"),))
CELL = Cell("a", SEA, Variant("cold", Sampling(temperature=0.0, seed=7)), 0)


def test_cells_stand_prompt_by_prompt_with_the_models_side_by_side() -> None:
    comparison = Comparison(("a", "b"), (SEA, Prompt("sky", "Sky?")), (Variant("x"), Variant("y")), repeats=2)
    labels = [cell.label for cell in comparison.cells]
    assert labels[:5] == ["a · sea · x", "b · sea · x", "a · sea · x · #2", "b · sea · x · #2", "a · sea · y"]
    assert len(labels) == len(comparison) == 16


def test_cells_are_keyed_model_by_model_and_share_a_key_when_they_ask_the_same() -> None:
    comparison = Comparison(("a", "b"), (SEA, replace(SEA, name="again", expected="waves")))
    assert [[cell.label for cell in cells] for cells in comparison.keyed.values()] == [
        ["a · sea", "a · again"],
        ["b · sea", "b · again"],
    ]


@pytest.mark.parametrize(
    "other",
    [
        replace(CELL, model="b"),
        replace(CELL, repeat=1),
        replace(CELL, prompt=replace(SEA, text="Sky?")),
        replace(CELL, prompt=replace(SEA, system="Be long.")),
        replace(CELL, prompt=replace(SEA, images=(Image(b"two"),))),
        replace(CELL, prompt=replace(SEA, images=())),
        replace(CELL, variant=replace(CELL.variant, system="Be long.")),
        replace(CELL, variant=replace(CELL.variant, sampling=Sampling(temperature=0.0))),
        replace(CELL, variant=replace(CELL.variant, think=True)),
        replace(CELL, variant=replace(CELL.variant, schema={})),
        replace(CELL, variant=replace(CELL.variant, extra={"mirostat": 2})),
    ],
)
def test_what_may_change_the_answer_changes_the_key(other: Cell) -> None:
    assert other.key != CELL.key


def test_what_cannot_change_the_answer_leaves_the_key() -> None:
    renamed = replace(
        CELL, prompt=replace(SEA, name="ocean", expected="waves"), variant=replace(CELL.variant, name="z")
    )
    assert renamed.key == CELL.key
    assert len(CELL.key) == 64


def test_the_key_is_the_same_in_every_version_so_that_caches_and_folders_stay_good() -> None:
    assert Cell("a", Prompt("p", "Hi"), Variant()).key.startswith("1522172ec5e9889f")


def test_the_request_says_the_variant_over_the_prompt_and_counts_seeds_up() -> None:
    request = replace(CELL, repeat=2, variant=replace(CELL.variant, system="Be loud.")).request
    assert request.sampling.seed == 9
    assert [message.text for message in request.messages] == ["Be loud.", "Write about the sea."]
    assert request.messages[1].images == SEA.images


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Comparison((), (SEA,)), "no model"),
        (lambda: Comparison(("a",), ()), "no prompt"),
        (lambda: Comparison(("a", "a"), (SEA,)), "Two of the models"),
        (lambda: Comparison(("a",), (SEA, SEA)), "Two of the prompts"),
        (lambda: Comparison(("a",), (SEA,), (Variant(), Variant())), "Two of the variants"),
        (lambda: Comparison(("a",), (SEA,), repeats=0), "repeats"),
        (lambda: Comparison(tuple(map(str, range(101))), (SEA,), repeats=100), "10100 cells"),
    ],
)
def test_what_cannot_be_compared_is_refused(make: Callable[[], Comparison], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make()
