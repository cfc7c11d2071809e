"""What judges and people make of a comparison: a judge at work from a node, and what was said since.

Owns what of it people see, and that nothing is asked twice: the same judge, criteria and seed answer from what is kept.
Everything here runs on the bridge's loop. For the nodes Judge and Vote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from comfy_nodes.host import Running
from comfy_nodes.runs import answers, begun, run_folder
from comfy_nodes.servers import Servers, the_servers
from comfy_nodes.turns import Turn, taking_turns
from comfy_nodes.values import Compared, Provider
from llm_bridge.chat import ChatRequest, Event, Loading, Reply, Waiting
from llm_bridge.compare import Judge, Preference, Results, ballots, judge_answers, with_preferences
from llm_bridge.compare.reports.markdown import inline
from llm_bridge.compare.reports.readable import count
from llm_bridge.compare.reports.table import preferred, rated, remarks
from llm_bridge.errors import BadAnswer, BadInput
from llm_bridge.router import Router

__all__ = ["judged", "ranking_text", "to_vote", "up_to_date"]

_NOTHING = "There was nothing to judge: no two models answered the same prompt."


async def judged(running: Running, compared: Compared, judge: Judge, provider: Provider, *, unload: bool) -> Compared:
    """The results with what the judge says of them, which is in the run folder too, and the ranking by everything said.

    ``unload`` lets go of the judge when it is done, unless everything was kept and nothing asked. Where no two models
    answered the same the results come back with a note: a graph that can compare several models works with one, too.

    Raises: BridgeError when the judge cannot be asked, or no pair could be judged.
    """
    pairs = _pairs(compared.results, judge.most_pairs)
    if not pairs:
        return replace(compared, results=replace(compared.results, notes=(*compared.results.notes, _NOTHING)))
    servers = await the_servers()
    judge = replace(judge, model=await _judge_model(servers, provider, judge.model, compared))
    run_folder(compared.run)
    with taking_turns(running) as turn:
        async with begun(compared.run, turn.wait) as folder:
            before = (await up_to_date(compared)).results
            others = [preference for preference in before.preferences if preference.by != f"judge:{judge.model}"]
            bench = _Bench(turn, await servers.router(provider, running.prompt), pairs)
            anew = replace(before, preferences=others)
            results = await judge_answers(anew, bench.ask, judge, folder=folder, on_preference=bench.heard)
    if unload and bench.asked:
        await servers.unload(provider, judge.model)
    if not bench.judged:
        told = results.notes[len(before.notes)]
        raise BadAnswer(f"No pair was judged. {told}", hint="Another seed may help.")
    return replace(compared, results=results)


async def _judge_model(servers: Servers, provider: Provider, name: str, compared: Compared) -> str:
    """By the name that it has in the comparison, if it is in there: a judge of its own answers is told as such."""
    model, *more = await servers.resolve(provider, [name])
    if more:
        raise BadInput(f"{1 + len(more)} models fit {name[:64]!r}.", hint=f"Name one judge, such as {model}.")
    short = model.partition("/")[2]
    return short if short in compared.results.comparison.models else model


def _pairs(results: Results, most: int) -> int:
    """How many are to be judged."""
    return min(most, sum(len(found) * (len(found) - 1) // 2 for found in results.answers.values()))


class _Bench:
    """Asks the judge, and shows how far it is."""

    def __init__(self, turn: Turn, router: Router, pairs: int) -> None:
        self._turn, self._router, self._pairs = turn, router, pairs
        self._answers = answers()
        self.asked = False
        self.judged = 0

    async def ask(self, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        """As `Ask`; the same question is answered from what is kept."""
        if (kept := await self._answers.get(key)) is not None:
            return kept
        self.asked = True
        reply = await self._router(key, request, self._see)
        await self._answers.put(key, reply)
        return reply

    def heard(self, preference: Preference) -> None:
        self.judged += 1
        self._turn.progress(self.judged, self._pairs)
        self._turn.text(f"{self.judged} of {self._pairs} pairs\n\n{preferred(preference)}")

    def _see(self, event: Event) -> None:
        match event:
            case Loading(model) if not self.judged:
                self._turn.text(f"Loading {model} …")
            case Waiting(ahead) if not self.judged:
                self._turn.wait(f"Waiting: {ahead} before this one …")
            case _:
                pass


async def up_to_date(compared: Compared) -> Compared:
    """With all that judges and people have said by now. Raises: BadInput when the run folder is gone."""
    kept = await run_folder(compared.run).read()
    results = await asyncio.to_thread(with_preferences, compared.results, kept.preferences)
    return replace(compared, results=results)


async def to_vote(compared: Compared, voter: str) -> tuple[int, int]:
    """How many ballots there are, and on how many of them ``voter`` has not voted.

    Raises: BadInput for a voter without a name.
    """
    salt = await run_folder(compared.run).salt()
    found = await asyncio.to_thread(ballots, compared.results, voter, salt)
    return len(found), sum(not ballot.voted for ballot in found)


def ranking_text(results: Results) -> str:
    """Markdown: the models, strongest first, and what a reader must know of it."""
    lines = [
        f"{place}. **{inline(rank.model)}** {rated(rank)}, won {count(rank.wins)} of {count(rank.games)}"
        for place, rank in enumerate(results.ranking, start=1)
    ]
    notes = [f"- {inline(remark)}" for remark in remarks(results)]
    return "\n\n".join("\n".join(part) for part in (lines, notes) if part)
