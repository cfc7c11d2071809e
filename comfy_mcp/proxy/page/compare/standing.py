"""How the models did, in a line for each: the ranking with its intervals, and the medians of what was measured.

Owns the drawing's measures; pure. Used by the page of a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_bridge.compare import Rank, Results
from llm_bridge.compare.reports.readable import NONE, count, duration, rate, share
from llm_bridge.compare.summary import ModelSummary, summary

__all__ = ["WIDTH", "Standing", "Stands", "standing_of"]

WIDTH = 120
"""Of a drawing, in its own units."""
_EDGE = 6


@dataclass(frozen=True, slots=True)
class Stands:
    """One model. ``interval`` are the low end, the middle and the high end of its rating on the drawing, ``bar`` the
    length of its speed; None where there is nothing to draw."""

    model: str
    place: int | None
    rating: str
    interval: tuple[int, int, int] | None
    games: int
    wins: str
    speed: str
    bar: int | None
    ttft: str
    tokens: str
    load: str
    answers: str
    checks: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All models, the strongest first where they are ranked. ``votes`` are the ballots of people, ``judged`` the pairs
    of a judge."""

    lines: tuple[Stands, ...]
    ranked: bool
    votes: int
    judged: int
    checked: bool
    loaded: bool


def standing_of(results: Results) -> Standing:
    """As far as the comparison is."""
    known = summary(results)
    # As they are shown: what reads the same stands on the same place.
    ratings = {rank.model: round(rank.rating) for rank in results.ranking}
    places = {model: 1 + sum(other > rating for other in ratings.values()) for model, rating in ratings.items()}
    fastest = max((line.tokens_per_second or 0 for line in known), default=0)
    lines = [_stands(line, places.get(line.model), results.ranking, fastest) for line in known]
    people = {preference.ballot for preference in results.preferences if preference.by_person}
    return Standing(
        tuple(sorted(lines, key=lambda line: line.place or len(lines) + 1)),
        ranked=bool(places),
        votes=len(people),
        judged=sum(not preference.by_person for preference in results.preferences),
        checked=any(line.checks_made for line in known),
        loaded=any(line.load for line in known),
    )


def _stands(line: ModelSummary, place: int | None, ranking: Sequence[Rank], fastest: float) -> Stands:
    rank = line.rating
    speed = line.tokens_per_second
    return Stands(
        line.model,
        place,
        _rated(rank),
        None if rank is None else _interval(rank, ranking),
        rank.games if rank else 0,
        count(rank.wins) if rank else NONE,
        rate(speed),
        round(WIDTH * speed / fastest) if speed and fastest else None,
        duration(line.ttft),
        count(line.tokens),
        duration(line.load or None),
        share(line.answers, line.answers + line.failures),
        share(line.checks_passed, line.checks_made),
    )


def _rated(rank: Rank | None) -> str:
    if rank is None:
        return NONE
    low, high = _ends(rank)
    return f"{rank.rating:.0f}" + (f" ({low:.0f}–{high:.0f})" if low < high else "")


def _ends(rank: Rank) -> tuple[float, float]:
    if rank.low is None or rank.high is None:
        return rank.rating, rank.rating
    return rank.low, rank.high


def _interval(rank: Rank, ranking: Sequence[Rank]) -> tuple[int, int, int]:
    """On the scale of all ratings."""
    ends = [end for each in ranking for end in _ends(each)]
    least, span = min(ends), (max(ends) - min(ends)) or 1

    def place(value: float) -> int:
        return round(_EDGE + (WIDTH - 2 * _EDGE) * (value - least) / span)

    low, high = _ends(rank)
    return place(low), place(rank.rating), place(high)
