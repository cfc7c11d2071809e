"""Judge and Vote: what is asked and kept, what people see of it, when it runs again, and what is refused."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from comfy_nodes.nodes.judging import Judge, PickBest, Vote
from comfy_nodes.runs import run_folder
from comfy_nodes.table import table_of
from comfy_nodes.values import Compared, Provider
from llm_bridge.compare.judge import CRITERIA
from llm_bridge.errors import BadAnswer, BadInput, UnknownModel
from tests.bridge.boxes import until
from tests.bridge.servers import Answer, End, Received, Script, chunk, json_answer, sse, stream
from tests.nodes.calling import Page, Stopped
from tests.nodes.comparisons import Booth, booth, compared
from tests.nodes.conftest import SetUp
from tests.texts import CHAT, models_asked, says, text_server

GOOD, BAD = "A good answer.", "A poor one."


def fair(received: Received) -> Answer:
    """Prefers what says good."""
    sides = dict(re.findall(r'<answer id="([AB])">\s*(.*?)\s*</answer>', received.json["messages"][-1]["content"]))
    good = [side for side in "AB" if "good" in sides[side]]
    return says(f'{{"reason": "I saw it.", "winner": "{good[0] if len(good) == 1 else "tie"}"}}')


@pytest.fixture
async def script(set_up: SetUp) -> AsyncGenerator[Script]:
    """A server called llm with a fair judge."""
    async with text_server(("judge-70b", "small-1b")) as script:
        script.on(CHAT, fair)
        set_up(script.url)
        yield script


@pytest.fixture
async def polls(set_up: SetUp) -> AsyncGenerator[Booth]:
    async with booth() as found:
        yield found


async def done(a: Sequence[str | None] = (GOOD, GOOD), b: Sequence[str | None] = (BAD, BAD)) -> Compared:
    return await compared({"llm/a": a, "llm/b": b})


async def judge(results: Compared, **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"judge": "judge-70b", "criteria": CRITERIA, "seed": 0, "most_pairs": 200}
    given |= {"max_tokens": 2048, "show_images": True, "unload": "leave loaded", "unique_id": "7"}
    return await Judge().judge(results=results, **given | changed)


def vote(results: Compared, voter: str = "me") -> Any:
    return Vote().vote(results=results, voter=voter, unique_id="8")


async def test_the_judge_is_asked_in_both_orders_and_names_the_strongest(script: Script, page: Page) -> None:
    answer = await judge(results := await done())
    judged, ranking, winner = answer["result"]
    assert winner == "llm/a"
    assert ranking.startswith("1. **llm/a** 1") and "\n2. **llm/b** " in ranking and "won 2 of 2" in ranking
    assert [preference.by for preference in judged.results.preferences] == ["judge:llm/judge-70b"] * 2
    assert answer["ui"] == {"comparison": [table_of(judged)], "text": [ranking]}
    assert [rank["model"] for rank in answer["ui"]["comparison"][0]["ranking"]] == ["llm/a", "llm/b"]
    asked = [body["messages"][-1]["content"] for body in script.bodies(CHAT)]
    assert Counter(text.index(GOOD) < text.index(BAD) for text in asked) == {True: 2, False: 2}
    assert [body["seed"] for body in script.bodies(CHAT)] == [0] * 4
    assert {body["max_tokens"] for body in script.bodies(CHAT)} == {2048}
    assert page.progress == [(1, 2), (2, 2)] and page.texts[-1] == ranking
    assert results.results.preferences == ()


async def test_the_same_is_not_asked_again_but_another_seed_or_criterion_is(script: Script) -> None:
    results = await done()
    first, again = (await judge(results))["result"], (await judge(results))["result"]
    assert {*again[0].results.preferences} == {*first[0].results.preferences} and again[1:] == first[1:]
    assert len(script.bodies(CHAT)) == 4
    await judge(results, seed=1)
    assert len(script.bodies(CHAT)) == 8
    judged = (await judge(results, criteria="Prefer rhymes."))["result"][0]
    assert len(script.bodies(CHAT)) == 12
    assert "Prefer rhymes." in script.bodies(CHAT)[-1]["messages"][-1]["content"]
    assert len(judged.results.preferences) == 2


async def test_another_verdict_replaces_the_earlier_one_in_the_run_too(script: Script) -> None:
    results = await done()
    await judge(results)
    script.on(CHAT, says('{"reason": "None.", "winner": "tie"}'))
    judged = (await judge(results, seed=1))["result"][0]
    assert {preference.winner for preference in judged.results.preferences} == {"tie"}
    read = await run_folder(results.run).read()
    assert {preference.winner for preference in read.preferences} == {"tie"}


async def test_two_judges_and_a_voter_make_one_ranking(script: Script, polls: Booth) -> None:
    results = await done()
    await polls.vote(results, "llm/a")
    first = (await judge(results))["result"][0]
    both = (await judge(first, judge="llm/small-1b"))["result"][0]
    assert Counter(preference.by for preference in both.results.preferences) == {
        "judge:llm/judge-70b": 2,
        "judge:llm/small-1b": 2,
        "person:me": 1,
    }
    assert both.results.ranking[0].games == 5


async def test_two_judges_of_one_run_at_the_same_time_wait_for_each_other(script: Script) -> None:
    results = await done()
    await asyncio.gather(judge(results), judge(results, judge="small-1b"))
    read = await run_folder(results.run).read()
    assert len(read.preferences) == 4


async def test_the_judge_may_be_the_largest_model_that_there_is(set_up: SetUp) -> None:
    models = [{"id": "small", "size": 1}, {"id": "large", "size": 9}]
    async with text_server(()) as script:
        script.on("GET /v1/models", json_answer({"data": models}))
        script.on(CHAT, fair)
        set_up(script.url)
        await judge(await done(), judge="auto:large")
        assert len({*models_asked(script)}) == 1
        with pytest.raises(BadInput, match="2 models fit"):
            await judge(await done(), judge="*")


async def test_a_judge_of_its_own_answers_is_told_by_whichever_name_it_is_compared(script: Script) -> None:
    for name in ("small-1b", "llm/small-1b"):
        results = await compared({"llm/a": (GOOD, GOOD), name: (BAD, BAD)})
        for judging in ("small-1b", "llm/small-1b"):
            ranking = (await judge(results, judge=judging))["result"][1]
            assert f"{name} judged its own answers too" in ranking


async def test_only_so_many_pairs_are_judged(script: Script, page: Page) -> None:
    answer = await judge(await done(), most_pairs=1)
    assert len(script.bodies(CHAT)) == 2
    assert page.progress == [(1, 1)]
    assert len(answer["result"][0].results.preferences) == 1


async def test_a_judge_that_names_no_winner_says_so_and_a_pair_that_fails_is_a_note(script: Script) -> None:
    script.on(CHAT, says("I like both."))
    with pytest.raises(BadAnswer, match=r"No pair was judged.*sea.*The judge named no winner.*Another seed"):
        await judge(await done())
    script.on(CHAT, lambda received: fair(received) if "sky" in str(received.json) else says("Hm."))
    judged, ranking, winner = (await judge(await done(), seed=1))["result"]
    assert winner == "llm/a" and len(judged.results.preferences) == 1
    assert any("did not judge" in note for note in judged.results.notes)
    assert "did not judge" in ranking


async def test_what_a_server_says_when_it_refuses_is_told(script: Script) -> None:
    script.on(CHAT, json_answer({"error": {"message": "The card is full."}}, 400))
    with pytest.raises(BadAnswer, match=r"The card is full\."):
        await judge(await done())


async def test_where_one_model_answered_there_is_nothing_to_judge_and_its_answers_go_on(script: Script) -> None:
    for results in (await done(b=(None, None)), await compared({"llm/a": (GOOD, GOOD)})):
        judged, ranking, winner = (await judge(results, judge="nobody"))["result"]
        assert winner == "llm/a" and "There was nothing to judge" in ranking
        assert judged.results.cells == results.results.cells
        picked = await PickBest().pick(results=judged, by="ranking", prompts="")
        assert picked["result"][0] == [GOOD, GOOD]
    assert (await judge(await done(a=(GOOD, None), b=(None, BAD))))["result"][2] == ""
    assert script.received == []


async def test_an_unknown_judge_is_refused_before_anything_is_asked(script: Script) -> None:
    with pytest.raises(UnknownModel, match="nobody"):
        await judge(await done(), judge="nobody")
    with pytest.raises(BadInput, match="no LLM server called 'away'"):
        await judge(await done(), provider=Provider("away"))
    with pytest.raises(BadInput, match="not there any more"):
        await judge(replace(await done(), run="0" * 32))
    assert script.bodies(CHAT) == []


async def test_an_interrupt_stops_the_judge_at_once_and_what_it_said_is_not_asked_again(
    script: Script, page: Page
) -> None:
    script.on(CHAT, fair, fair, stream(sse(chunk("{"), done=False), End.HANG))
    results = await done()
    judging = asyncio.create_task(judge(results))
    await until(lambda: len(script.bodies(CHAT)) == 3)
    before = time.monotonic()
    page.interrupt()
    with pytest.raises(Stopped):
        await judging
    assert time.monotonic() - before < 1
    await asyncio.wait_for(script.aborted.wait(), 5)
    page.interrupted = False
    script.on(CHAT, fair)
    assert (await judge(results))["result"][2] == "llm/a"
    assert len(script.bodies(CHAT)) == 5


async def test_a_vote_does_not_hold_up_the_graph_and_the_next_run_has_it(polls: Booth) -> None:
    results = await done()
    answer = await vote(results)
    assert answer["ui"] == {"vote": [{"run": results.run, "ballots": 2, "left": 2}]}
    now, ranking = answer["result"]
    assert now == results and "nobody has compared" in ranking
    await polls.vote(results, "llm/b")
    answer = await vote(results)
    assert answer["ui"]["vote"][0]["left"] == 1
    assert answer["result"][1].startswith("1. **llm/b**")
    picked = await PickBest().pick(results=answer["result"][0], by="ranking", prompts="sea")
    assert picked["result"] == ([BAD], ["llm/b"], ["sea"])
    assert picked["ui"] == {"text": [BAD]}
    assert (await vote(results, "somebody else"))["ui"]["vote"][0]["left"] == 2


async def test_a_vote_makes_the_node_run_again_and_nothing_else_does(script: Script, polls: Booth) -> None:
    results = await done()

    def changed() -> object:
        return Vote.IS_CHANGED(results=None, voter="me", unique_id="8")

    before = changed()
    await vote(results)
    await done(a=("other", None))
    await judge(results)
    assert changed() == before
    await polls.vote(results, "llm/a")
    after = changed()
    assert after != before
    await vote(results)
    assert changed() == after


async def test_who_votes_needs_a_name_and_results_that_are_there(polls: Booth) -> None:
    results = await done()
    with pytest.raises(BadInput, match="name of the voter"):
        await vote(results, "  ")
    with pytest.raises(BadInput, match="not there any more"):
        await vote(replace(results, run="0" * 32))


async def test_nothing_to_vote_on_is_no_failure(polls: Booth) -> None:
    answer = await vote(await done(b=(None, None)))
    assert answer["ui"]["vote"][0] == {"run": answer["result"][0].run, "ballots": 0, "left": 0}
