"""Answers to one prompt at full length beside each other, with what differs between them word by word.

Owns the choice of answers and the marking of differences. Used by the route that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from comfy_mcp.errors import NotFound
from comfy_mcp.proxy.page.compare.grid import Fact, facts_of
from llm_bridge.compare import CellResult, Piece, Prompt, Results, word_diff
from llm_bridge.compare.reports.readable import visible
from llm_bridge.compare.reports.table import said

__all__ = ["Answer", "Reading", "reading_of"]

_MOST = 6
"""Side by side."""
_MOST_COMPARED = 200_000
"""Letters of an answer; longer ones are shown without differences."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that can be chosen: ``number`` is its place among those to the prompt. ``pieces`` are set where it is
    compared with the first."""

    number: int
    model: str
    variant: str
    repeat: int
    chosen: bool
    text: str
    thoughts: str
    finish: str
    facts: tuple[Fact, ...]
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One prompt, by its place, of how ``many``, and everything that was answered to it."""

    number: int
    many: int
    prompt: Prompt
    answers: tuple[Answer, ...]
    differences: bool
    repeats: int

    @property
    def side_by_side(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if answer.chosen)


async def reading_of(results: Results, prompt: int, chosen: Sequence[int], *, differences: bool) -> Reading:
    """Without a choice that makes sense, the first two. Raises NotFound when there is no such prompt."""
    asked = results.comparison
    if not 0 <= prompt < len(asked.prompts):
        raise NotFound("There is no such prompt in this comparison.", hint="Go back to the comparison.")
    per = len(asked.models) * len(asked.variants) * asked.repeats
    places = {cell.place: number for number, cell in enumerate(asked.cells[prompt * per : (prompt + 1) * per])}
    found = {places[one.cell.place]: one for one in results.cells if one.cell.place in places and one.reply}
    wanted = [number for number in dict.fromkeys(chosen) if number in found][:_MOST] or sorted(found)[:2]
    answers = [_answer(number, result, number in wanted) for number, result in sorted(found.items())]
    if differences:
        answers = await to_thread.run_sync(_compared, answers)
    return Reading(prompt, len(asked.prompts), asked.prompts[prompt], tuple(answers), differences, asked.repeats)


def _answer(number: int, result: CellResult, chosen: bool) -> Answer:
    cell, reply = result.cell, result.reply
    assert reply is not None
    text, thoughts = visible(said(reply)), visible(reply.reasoning)
    facts = facts_of(result)
    return Answer(number, cell.model, cell.variant.name, cell.repeat + 1, chosen, text, thoughts, reply.finish, facts)


def _compared(answers: Sequence[Answer]) -> list[Answer]:
    """Each chosen one but the first, with how it differs from the first; slow for long texts."""
    first, *others = [answer for answer in answers if answer.chosen] or [None]
    return [_beside(first, answer) if first and answer in others else answer for answer in answers]


def _beside(first: Answer, answer: Answer) -> Answer:
    if max(len(first.text), len(answer.text)) > _MOST_COMPARED:
        return answer
    return replace(answer, pieces=word_diff(first.text, answer.text))
