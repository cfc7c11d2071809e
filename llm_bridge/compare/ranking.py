"""How strong each model is, from who was preferred to whom: Bradley-Terry on the scale of Elo.

Pure. The strengths are found by the MM algorithm (D. Hunter, "MM algorithms for generalized Bradley-Terry models",
2004). A tie is half a win for both. Every model also has `_PRIOR` wins and losses against an average one, so that one
that never lost stays finite and groups that never met stand beside each other.

The intervals come from the Fisher information, not from a bootstrap: they need no luck, and stay honest where games
are few (resampling a model that never lost says that it is certain). They take the preferences as independent; many
that rest on one vote or one prompt make them too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from llm_bridge.compare.results import Preference, Rank, Results

__all__ = ["MEAN", "merged", "rank", "with_preferences"]

_PRIOR = 0.25
MEAN = 1000.0
_SCALE = 400 / math.log(10)
_CONFIDENCE = 1.959964
_STEPS = 5_000
_PRECISION = 1e-8

Matrix = list[list[float]]


def rank(preferences: Iterable[Preference], *, prior: float = _PRIOR) -> tuple[Rank, ...]:
    """The models that have a preference, strongest first. ``prior`` must be above 0."""
    games = list(preferences)
    models = sorted({model for game in games for model in game.pair})
    if not models:
        return ()
    wins = _wins(games, models)
    strengths = _strengths(wins, prior)
    errors = _errors(wins, strengths, prior)
    middle = sum(strengths) / len(strengths)
    ranks = [
        _rank(model, MEAN + _SCALE * (strengths[i] - middle), _SCALE * errors[i], (sum(wins[i]), _played(wins, i)))
        for i, model in enumerate(models)
    ]
    return tuple(sorted(ranks, key=lambda rank: (-rank.rating, rank.model)))


def merged(batches: Iterable[Sequence[Preference]]) -> tuple[Preference, ...]:
    """All preferences, where a later one replaces what the same judge said of the same pair.

    A person's vote replaces everything that the person said of these answers before.
    """
    kept: dict[tuple[str, str, str, int], dict[tuple[str, str], Preference]] = {}
    for batch in batches:
        for ballot in {preference.ballot for preference in batch if preference.by_person}:
            kept.pop(ballot, None)
        for preference in batch:
            kept.setdefault(preference.ballot, {})[preference.pair] = preference
    return tuple(preference for pairs in kept.values() for preference in pairs.values())


def with_preferences(results: Results, more: Sequence[Preference] = ()) -> Results:
    """The results with ``more`` preferences, ranked by all of them."""
    preferences = merged((results.preferences, more))
    return replace(results, preferences=preferences, ranking=rank(preferences))


def _rank(model: str, rating: float, error: float, score: tuple[float, float]) -> Rank:
    wins, games = score
    known = games >= 2
    low, high = rating - _CONFIDENCE * error, rating + _CONFIDENCE * error
    return Rank(model, rating, low if known else None, high if known else None, round(games), wins)


def _wins(games: Iterable[Preference], models: Sequence[str]) -> Matrix:
    """How often the row's model won against the column's."""
    index = {model: i for i, model in enumerate(models)}
    wins = [[0.0] * len(models) for _ in models]
    for game in games:
        first, second = index[game.first], index[game.second]
        won = {"first": 1.0, "second": 0.0, "tie": 0.5}[game.winner]
        wins[first][second] += won
        wins[second][first] += 1 - won
    return wins


def _played(wins: Matrix, i: int) -> float:
    return sum(wins[i]) + sum(row[i] for row in wins)


def _strengths(wins: Matrix, prior: float) -> list[float]:
    """Natural logarithms of the strengths, where that of the average model of the prior is 0."""
    size = range(len(wins))
    games = [[wins[i][j] + wins[j][i] for j in size] for i in size]
    scores = [sum(wins[i]) + prior for i in size]
    strengths = [1.0 for _ in size]
    for _ in range(_STEPS):
        moved = 0.0
        for i in size:
            mine = strengths[i]
            chances = sum(games[i][j] / (mine + strengths[j]) for j in size if games[i][j])
            strengths[i] = scores[i] / (chances + 2 * prior / (mine + 1))
            moved = max(moved, abs(math.log(strengths[i] / mine)))
        if moved < _PRECISION:
            break
        shift = _shift(strengths)
        strengths = [strength * shift for strength in strengths]
    return [math.log(strength) for strength in strengths]


def _shift(strengths: Sequence[float]) -> float:
    """By which factor all move at once, one step of Newton's method: games do not feel it, only the prior does.

    Without it the weak prior draws them there over thousands of steps.
    """
    chances = [strength / (strength + 1) for strength in strengths]
    slope = sum(chance * (1 - chance) for chance in chances)
    return math.exp(max(-1.0, min(1.0, (len(chances) / 2 - sum(chances)) / slope)))


def _errors(wins: Matrix, strengths: Sequence[float], prior: float) -> list[float]:
    """Standard errors of the strengths as they stand to the mean of all."""
    size = range(len(wins))
    information = [[-_weight(wins[i][j] + wins[j][i], strengths[i] - strengths[j]) for j in size] for i in size]
    for i in size:
        information[i][i] = -sum(information[i][j] for j in size if j != i) + _weight(2 * prior, strengths[i])
    covariance = _inverse(information)
    rows = [sum(row) / len(row) for row in covariance]
    whole = sum(rows) / len(rows)
    return [math.sqrt(max(covariance[i][i] - 2 * rows[i] + whole, 0.0)) for i in size]


def _weight(games: float, difference: float) -> float:
    """What the games tell of the difference: the variance of their outcome."""
    chance = 1 / (1 + math.exp(-difference))
    return games * chance * (1 - chance)


def _inverse(matrix: Matrix) -> Matrix:
    """By Gauss-Jordan; the matrix is symmetric and dominated by its diagonal, so no pivot is needed."""
    size = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i, pivot in enumerate(rows):
        scale = pivot[i]
        pivot[:] = [value / scale for value in pivot]
        for j, row in enumerate(rows):
            if j != i and row[i]:
                factor = row[i]
                row[:] = [value - factor * base for value, base in zip(row, pivot, strict=True)]
    return [row[size:] for row in rows]
