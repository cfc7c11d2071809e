"""The best answer to each prompt, by what judges and people said or by what was measured.

Owns what best means. Pure: for the node Pick Best, which calls it in a thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from llm_bridge.compare import CellResult, Preference, Results, rank
from llm_bridge.compare.measures import Measures, measures
from llm_bridge.compare.ranking import MEAN
from llm_bridge.errors import BadInput

__all__ = ["WAYS", "best_answers"]

Score = tuple[float, ...]
"""Of two, the larger is better. The empty one is not known, and no better than any."""

_Scoring = Callable[[Results], Callable[[CellResult], Score]]


def best_answers(results: Results, way: str, prompts: str = "") -> tuple[CellResult, ...]:
    """One answer for each prompt that has any, in their order; of equal ones the first in the order of the comparison.

    Every repeat and variant stands for itself. ``prompts`` is a prompt's name or a pattern such as `sea*`; "" is all.
    An answer without text is none.

    Raises: BadInput when there is no such way or prompt, no answer, or nothing that tells one from another.
    """
    if way not in WAYS:
        raise BadInput(f"There is no way to pick by {way[:64]!r}.", hint=f"Choose one of: {', '.join(WAYS)}.")
    scoring, nobody, hint = WAYS[way]
    score = scoring(results)
    found = _answers(results, _named(results, prompts))
    open_choice = any(len({answer.cell.model for answer in answers}) > 1 for answers in found)
    if open_choice and not any(score(answer) for answers in found for answer in answers):
        # The first model would pass for the best one, and be painted.
        raise BadInput(nobody, hint=hint)
    return tuple(max(answers, key=score) for answers in found)


def _named(results: Results, sought: str) -> set[str]:
    names = [prompt.name for prompt in results.comparison.prompts]
    pattern = sought.strip()
    if pattern in ("", *names):
        return {pattern} if pattern else {*names}
    found = {name for name in names if fnmatchcase(name.casefold(), pattern.casefold())}
    if not found:
        known = ", ".join(names[:10])
        raise BadInput(f"No prompt is called {pattern[:64]!r}.", hint=f"There are: {known}.")
    return found


def _answers(results: Results, names: set[str]) -> Sequence[Sequence[CellResult]]:
    """By prompt, in the order of the comparison."""
    found: dict[str, list[CellResult]] = {}
    for result in results.cells:
        if result.cell.prompt.name in names and result.reply is not None and result.reply.text.strip():
            found.setdefault(result.cell.prompt.name, []).append(result)
    if not found:
        why = next((str(result.failure) for result in results.cells if result.failure is not None), "")
        raise BadInput("There is no answer to pick from.", hint=why or "Compare models that answer with text.")
    return [*found.values()]


def _by_ranking(results: Results) -> Callable[[CellResult], Score]:
    """The model that is preferred on this prompt; of its answers the one that won most; then the overall rating."""
    overall = {rank.model: rank.rating for rank in results.ranking}
    on_prompt = {name: _ratings(games) for name, games in _by_prompt(results.preferences).items()}
    won = _won(results.preferences)

    def score(result: CellResult) -> Score:
        cell = result.cell
        here = on_prompt.get(cell.prompt.name, {})
        return (here.get(cell.model, MEAN), won.get(cell.place, 0.0), overall.get(cell.model, MEAN)) if overall else ()

    return score


def _by_prompt(preferences: Iterable[Preference]) -> Mapping[str, Sequence[Preference]]:
    found: dict[str, list[Preference]] = defaultdict(list)
    for preference in preferences:
        found[preference.prompt].append(preference)
    return found


def _ratings(games: Iterable[Preference]) -> Mapping[str, float]:
    return {each.model: each.rating for each in rank(games)}


def _won(preferences: Iterable[Preference]) -> Mapping[tuple[str, str, int, str], float]:
    """By `Cell.place`: how often this very answer won, less how often it lost."""
    won: dict[tuple[str, str, int, str], float] = defaultdict(float)
    for game in preferences:
        point = {"first": 1.0, "second": -1.0, "tie": 0.0}[game.winner]
        won[game.prompt, game.variant, game.repeat, game.first] += point
        won[game.prompt, game.variant, game.repeat, game.second] -= point
    return won


def _by_checks(results: Results) -> Callable[[CellResult], Score]:
    return lambda result: (float(sum(checked.passed for checked in result.checks)),) if result.checks else ()


def _measured(read: Callable[[Measures], float | None]) -> _Scoring:
    def score(result: CellResult) -> Score:
        value = read(measures(result.reply))
        return () if value is None else (value,)

    return lambda _: score


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _length(result: CellResult) -> float:
    return float(len(result.reply.text.strip())) if result.reply else 0.0


_OTHER = "Choose another way to pick."

WAYS: Mapping[str, tuple[_Scoring, str, str]] = {
    "ranking": (
        _by_ranking,
        "Nobody has compared the answers yet.",
        "Link the results of a Judge, or vote in a Vote and queue the graph again, or choose another way to pick.",
    ),
    "most checks passed": (_by_checks, "No answer was checked.", f"Give LLM Compare checks. {_OTHER}"),
    "fastest": (_measured(lambda of: of.tokens_per_second), "No server tells how fast it wrote.", _OTHER),
    "first token soonest": (
        _measured(lambda of: _negative(of.ttft)),
        "It is not known when the first tokens came.",
        _OTHER,
    ),
    "shortest": (lambda _: lambda result: (-_length(result),), "", ""),
    "longest": (lambda _: lambda result: (_length(result),), "", ""),
    "first": (lambda _: lambda _: (0.0,), "", ""),
}
"""How the best answer can be picked: the score, and what to say when no answer has one."""
