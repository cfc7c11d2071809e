"""A blind vote, one ballot at a time: which comes next, and what stood behind the last.

Owns the order in which ballots are shown. Used by the routes of the vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_bridge.compare import Ballot
from llm_bridge.compare.reports.readable import visible

__all__ = ["TIE", "Booth", "booth_of", "named"]

TIE = "tie"


@dataclass(frozen=True, slots=True)
class Booth:
    """What a voter sees: a ``ballot`` by its ``place`` among ``many``, of which they have answered ``voted``; no ballot
    when none is left. After a vote ``models`` are by label, and ``best`` is the label that they chose."""

    voter: str
    many: int
    voted: int
    place: int = 0
    ballot: Ballot | None = None
    models: Mapping[str, str] | None = None
    best: str = ""

    @property
    def choices(self) -> list[tuple[str, str]]:
        return [(choice.label, visible(choice.text)) for choice in self.ballot.choices] if self.ballot else []


def booth_of(ballots: Sequence[Ballot], voter: str, start: int = 0) -> Booth:
    """With the first ballot from ``start`` on that has no vote yet, else the first of all."""
    order = [*range(max(start, 0), len(ballots)), *range(len(ballots))]
    place = next((place for place in order if not ballots[place].voted), None)
    voted = sum(ballot.voted for ballot in ballots)
    if place is None:
        return Booth(voter, len(ballots), voted)
    return Booth(voter, len(ballots), voted, place, ballots[place])


def named(ballots: Sequence[Ballot], voter: str, ballot: str, models: Mapping[str, str], best: str) -> Booth:
    """The ballot that was just answered, with the names."""
    place = next((place for place, each in enumerate(ballots) if each.id == ballot), None)
    voted = sum(each.voted for each in ballots)
    if place is None:
        return Booth(voter, len(ballots), voted)
    return Booth(voter, len(ballots), voted, place, ballots[place], models, best)
