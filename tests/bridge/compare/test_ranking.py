"""Bradley-Terry: a published dataset, an independent solution, and what must hold for any games."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.compare.ranking import MEAN, merged, rank, with_preferences
from llm_bridge.compare.results import Preference, Winner
from tests.bridge.compare.models import answered

SCALE = 400 / math.log(10)

# Baseball, American League 1987, from A. Agresti, "Categorical Data Analysis", table 10.10: wins of the row's team.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
# What the book (table 10.11) and hturner/BradleyTerry2:tests/testthat/test-baseball.R say of them, Baltimore being 0.
STRENGTHS = {"Milwaukee": 1.58, "Detroit": 1.44, "Toronto": 1.29, "New York": 1.25, "Boston": 1.11, "Cleveland": 0.68}


def game(one: str, two: str, winner: str | None, number: int = 0, by: str = "judge:j") -> Preference:
    first, second = sorted((one, two))
    side: Winner = "tie" if winner is None else "first" if winner == first else "second"
    return Preference(str(number), "", 0, first, second, side, by)


def baseball() -> list[Preference]:
    pairs = product(range(len(TEAMS)), repeat=2)
    return [game(TEAMS[i], TEAMS[j], TEAMS[i], number) for i, j in pairs for number in range(WINS[i][j])]


GAMES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from([0, 1, None])).filter(
        lambda drawn: drawn[0] != drawn[1]
    ),
    min_size=1,
    max_size=30,
).map(lambda drawn: [game(a, b, None if won is None else (a, b)[won], n) for n, (a, b, won) in enumerate(drawn)])


def test_a_published_dataset_gives_the_published_strengths() -> None:
    ranks = {rank.model: rank for rank in rank(baseball(), prior=1e-6)}
    for team, strength in STRENGTHS.items():
        assert round((ranks[team].rating - ranks["Baltimore"].rating) / SCALE, 2) == strength
    assert [rank.model for rank in rank(baseball())] == [*TEAMS]
    assert {rank.games for rank in ranks.values()} == {78}
    assert ranks["Milwaukee"].wins == 50


def test_two_players_have_the_strengths_and_the_error_of_the_textbook() -> None:
    """With 3 wins to 1 the difference is ln 3, and its error the root of 1/3 + 1; each is half of it from the mean."""
    games = [game("a", "b", winner, number) for number, winner in enumerate("aaab")]
    strong, weak = rank(games, prior=1e-9)
    assert strong.high is not None and strong.low is not None
    assert (strong.rating - weak.rating) / SCALE == pytest.approx(math.log(3), abs=1e-4)
    assert (strong.high - strong.low) / 2 / SCALE == pytest.approx(1.959964 * math.sqrt(1 / 3 + 1) / 2, abs=1e-4)


def test_the_strengths_are_where_the_likelihood_is_highest() -> None:
    """Every small step away from them makes the games, the prior's included, less likely."""
    games = baseball()[::5]
    ranks = {rank.model: rank.rating / SCALE for rank in rank(games, prior=0.25)}
    offset = _best_offset(games, ranks)
    strengths = {team: strength + offset for team, strength in ranks.items()}
    best = _likelihood(games, strengths)
    for team, step in product(TEAMS, (-0.01, 0.01)):
        assert _likelihood(games, strengths | {team: strengths[team] + step}) < best


def _likelihood(games: list[Preference], strengths: dict[str, float]) -> float:
    def chance(one: float, two: float) -> float:
        return -math.log1p(math.exp(two - one))

    total = sum(0.25 * (chance(one, 0) + chance(0, one)) for one in strengths.values())
    for played in games:
        winner, loser = played.pair if played.winner == "first" else played.pair[::-1]
        total += chance(strengths[winner], strengths[loser])
    return total


def _best_offset(games: list[Preference], strengths: dict[str, float]) -> float:
    """Ratings are centred; where the prior's average model stands among them is found by bisection."""
    middle = sum(strengths.values()) / len(strengths)
    low, high = -middle - 5, -middle + 5
    for _ in range(100):
        third = (high - low) / 3
        left = _likelihood(games, {team: strength + low + third for team, strength in strengths.items()})
        right = _likelihood(games, {team: strength + high - third for team, strength in strengths.items()})
        low, high = (low + third, high) if left < right else (low, high - third)
    return (low + high) / 2


def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100() -> None:
    luck = random.Random(7)
    truth = {"a": 0.6, "b": 0.1, "c": -0.7}
    held = 0
    for _ in range(150):
        games: list[Preference] = []
        for one, two in (("a", "b"), ("a", "c"), ("b", "c")):
            chance = 1 / (1 + math.exp(truth[two] - truth[one]))
            games += [game(one, two, one if luck.random() < chance else two, number) for number in range(40)]
        for found in rank(games):
            assert found.low is not None and found.high is not None
            held += found.low <= MEAN + SCALE * truth[found.model] <= found.high
    assert 0.92 < held / 450 < 0.98


def test_who_never_lost_stays_finite_and_uncertain() -> None:
    strong, weak = rank([game("a", "b", "a", number) for number in range(5)])
    assert strong.model == "a"
    assert strong.rating < 2000
    assert strong.low is not None and strong.high is not None
    assert strong.high - strong.low > 200
    assert strong.wins == 5
    assert weak.wins == 0


def test_without_games_there_is_no_rank_and_with_one_no_interval() -> None:
    assert rank([]) == ()
    assert [(found.low, found.high, found.games) for found in rank([game("a", "b", "a")])] == [(None, None, 1)] * 2


@given(GAMES)
def test_neither_order_nor_sides_nor_names_matter(games: list[Preference]) -> None:
    expected = {found.model: found.rating for found in rank(games)}
    assert {found.model: found.rating for found in rank(games[::-1])} == pytest.approx(expected)
    names = dict(zip("abcd", "zyxw", strict=True))
    renamed = [game(names[g.first], names[g.second], _winner(g, names), n) for n, g in enumerate(games)]
    found = {rank.model: rank.rating for rank in rank(renamed)}
    assert found == pytest.approx({names[model]: rating for model, rating in expected.items()}, abs=1e-4)


def _winner(played: Preference, names: dict[str, str]) -> str | None:
    sides = {"first": names[played.first], "second": names[played.second]}
    return sides.get(played.winner)


@given(GAMES)
def test_the_mean_is_1000_and_the_intervals_hold_the_rating(games: list[Preference]) -> None:
    ranks = rank(games)
    assert sum(found.rating for found in ranks) / len(ranks) == pytest.approx(MEAN)
    assert sum(found.wins for found in ranks) == len(games)
    assert sum(found.games for found in ranks) == 2 * len(games)
    assert [found.rating for found in ranks] == sorted((found.rating for found in ranks), reverse=True)
    for found in ranks:
        if found.low is not None and found.high is not None:
            assert found.low < found.rating < found.high


@given(GAMES)
def test_one_more_win_never_lowers_a_rating(games: list[Preference]) -> None:
    before = {found.model: found.rating for found in rank([*games, game("a", "b", None, 98)])}
    after = {found.model: found.rating for found in rank([*games, game("a", "b", "a", 98)])}
    assert after["a"] > before["a"]


def test_as_many_wins_as_losses_and_ties_are_equal() -> None:
    for games in (["a", "b"], [None, None], ["a", None, "b"]):
        ranks = rank([game("a", "b", winner, number) for number, winner in enumerate(games)])
        assert [found.rating for found in ranks] == pytest.approx([MEAN, MEAN])


def test_a_model_that_loses_to_all_is_last() -> None:
    games = [game(one, "z", one, number) for number in range(3) for one in "abc"]
    assert rank([*games, game("a", "b", "a"), game("b", "c", "c")])[-1].model == "z"


def test_fifty_models_are_ranked_in_a_moment() -> None:
    luck = random.Random(1)
    models = [f"m{number:02}" for number in range(50)]
    pairs = [luck.sample(models, 2) for _ in range(500)]
    assert len(rank([game(one, two, luck.choice((one, two)), number) for number, (one, two) in enumerate(pairs)])) >= 49


def test_a_later_judgement_of_a_pair_replaces_the_earlier_and_a_vote_the_whole_ballot() -> None:
    old = game("a", "b", "a")
    assert merged([[old], [game("a", "b", "b")]]) == (game("a", "b", "b"),)
    assert merged([[old], [game("a", "c", "a")]]) == (old, game("a", "c", "a"))
    vote = [game("a", "b", "a", by="person:p"), game("b", "c", None, by="person:p")]
    later = [game("a", "b", "b", by="person:p")]
    assert merged([vote, later]) == (*later,)
    assert merged([vote, [old]]) == (*vote, old)


def test_results_with_more_preferences_are_ranked_by_all() -> None:
    results = with_preferences(answered({"a": ["x", "y"], "b": ["x", "y"]}), [game("a", "b", "a")])
    results = with_preferences(results, [game("a", "b", "a", 1)])
    assert len(results.preferences) == 2
    assert [(found.model, found.games) for found in results.ranking] == [("a", 2), ("b", 2)]
