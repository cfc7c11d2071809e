"""Blind votes: a person sees the answers as A, B, … in an order of their own, and says which is best.

Owns who sees what and what a vote means. Pure: whoever calls it shows the ballots and keeps the preferences (`folder`).
The salt is the secret of a run (`Folder.salt`): without it neither an id nor an order tells which model is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from llm_bridge.compare.keys import key_of
from llm_bridge.compare.matrix import Prompt
from llm_bridge.compare.results import CellResult, Preference, Results, Winner
from llm_bridge.errors import BadInput

__all__ = ["Ballot", "Choice", "Vote", "ballots", "vote"]

TIE = "tie"
_MOST_NAME = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer as the voter sees it: nothing tells the model."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one voter sees of the answers to one thing. ``id`` changes with the answers; ``voted``: they did already."""

    id: str
    prompt: Prompt
    variant: str
    repeat: int
    choices: tuple[Choice, ...]
    voted: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """What a vote says, and which model stood behind each label: to be told only now."""

    preferences: tuple[Preference, ...]
    models: Mapping[str, str]


def ballots(results: Results, voter: str, salt: str) -> tuple[Ballot, ...]:
    """All that has two answers or more, in the order of the comparison. Raises: BadInput for a voter without a name."""
    by = _by(voter)
    voted = {preference.ballot for preference in results.preferences}
    return tuple(
        _ballot(order, salt, voted=(by, *place) in voted)
        for place, answers in results.answers.items()
        if len(order := _order(answers, voter, salt)) > 1
    )


def vote(results: Results, voter: str, ballot: str, best: str, salt: str) -> Vote:
    """``best`` is the label of the best answer, which beats each other one, or `tie`: then all are as good.

    Raises: BadInput when there is no such ballot (any more) or no such label.
    """
    by = _by(voter)
    for answers in results.answers.values():
        order = _order(answers, voter, salt)
        if len(order) > 1 and _id(order, salt) == ballot:
            return _counted(order, by, best)
    raise BadInput("There is no such ballot, or its answers have changed.", hint="Fetch the ballots again.")


def _by(voter: str) -> str:
    if not voter.strip() or len(voter) > _MOST_NAME:
        raise BadInput("A vote needs the name of the voter.", hint=f"Give one of 1 to {_MOST_NAME} characters.")
    return f"person:{voter}"


def _order(answers: Mapping[str, CellResult], voter: str, salt: str) -> list[CellResult]:
    """The same for the same voter whenever they look, and another for everybody else."""
    return sorted(answers.values(), key=lambda result: key_of([salt, voter, *result.cell.place]))


def _ballot(order: Sequence[CellResult], salt: str, *, voted: bool) -> Ballot:
    cell = order[0].cell
    choices = tuple(Choice(label, result.reply.text) for label, result in _labelled(order).items() if result.reply)
    return Ballot(_id(order, salt), cell.prompt, cell.variant.name, cell.repeat, choices, voted)


def _labelled(order: Sequence[CellResult]) -> dict[str, CellResult]:
    """A to Z, then AA, AB and so on."""
    labels = (chr(ord("A") + number % 26) for number in range(len(order)))
    prefixes = ("" if number < 26 else chr(ord("A") + number // 26 - 1) for number in range(len(order)))
    return {prefix + label: result for prefix, label, result in zip(prefixes, labels, order, strict=True)}


def _id(order: Sequence[CellResult], salt: str) -> str:
    return key_of([salt, [(result.cell.place, result.reply and result.reply.text) for result in order]])[:32]


def _counted(order: Sequence[CellResult], by: str, best: str) -> Vote:
    models = {label: result.cell.model for label, result in _labelled(order).items()}
    if best != TIE and best not in models:
        raise BadInput("There is no such answer.", hint=f"Give one of {', '.join(models)}, or {TIE}.")
    prompt, variant, repeat, _ = order[0].cell.place
    favourite = models.get(best)
    preferences = tuple(
        Preference(prompt, variant, repeat, first, second, _winner(first, second, favourite), by)
        for first, second in combinations(sorted(models.values()), 2)
        if favourite in (None, first, second)
    )
    return Vote(preferences, models)


def _winner(first: str, second: str, favourite: str | None) -> Winner:
    if favourite is None:
        return "tie"
    return "first" if favourite == first else "second"
