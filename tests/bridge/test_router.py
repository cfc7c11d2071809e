"""The router: names, `auto` and its words, what counts first, and the sentence that says why."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import ChatRequest, Reply, Sampling, Timings, Tool
from llm_bridge.compare import Comparison, Prompt, compare
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, BridgeError, ContextExceeded, NotSupported, ServerUnavailable, UnknownModel
from llm_bridge.messages import Image, Message
from llm_bridge.providers import Model, State
from llm_bridge.queue import Queue
from llm_bridge.router import Candidate, Choice, Router, Wanted, choose
from llm_bridge.speeds import Speeds
from tests.bridge.boxes import Box, boxes, said, until
from tests.bridge.servers import json_answer, scripted
from tests.texts import CHAT, answered, text_server


def on(
    server: str, model: str, *, cost: float = 0.0, ahead: int = 0, speed: float | None = None, **told: Any
) -> Candidate:
    return Candidate(server, Model(model, **told), cost, ahead, speed)


SMALL = on("box", "small-1b", state=State.UNLOADED, vision=False, tools=True, context=4096)
SEES = on("box", "sees-8b", state=State.LOADED, vision=True, tools=False, context=8192)
LARGE = on("farm", "large-70b", state=State.UNLOADED, vision=True, tools=True, reasoning=True, context=131072)
VAGUE = on("cloud", "vague", cost=2.0)
ALL = [SMALL, SEES, LARGE, VAGUE]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("auto", "box/sees-8b"),
        ("auto:vision", "box/sees-8b"),
        ("auto:tools", "farm/large-70b"),
        ("auto:tools+small", "box/small-1b"),
        ("auto:small", "box/small-1b"),
        ("auto:large", "farm/large-70b"),
        ("auto:vision+large", "farm/large-70b"),
        ("auto:reasoning", "farm/large-70b"),
        ("small-1b", "box/small-1b"),
        ("farm/large-70b", "farm/large-70b"),
        (Wanted("auto", tokens=5000), "box/sees-8b"),
        (Wanted("auto", tokens=50_000), "farm/large-70b"),
        (Wanted("auto", vision=True, tools=True), "farm/large-70b"),
    ],
)
def test_the_best_for_what_is_wanted_is_chosen(wanted: Wanted | str, chosen: str) -> None:
    # Of two equals the first by name: small-1b would win over large-70b there, were it not for the size.
    candidates = [*ALL[:2], replace(LARGE, model=replace(LARGE.model, state=State.SLEEPING)), VAGUE]
    assert choose(wanted, candidates if wanted == "auto:tools" else ALL).candidate.name == chosen


def test_the_choice_says_why_and_why_not_the_others() -> None:
    choice = choose(Wanted("auto:vision", tokens=5100), ALL)
    assert str(choice) == (
        "Chose box/sees-8b because it sees pictures, has room for 5100 tokens and is loaded."
        " Not box/small-1b: it does not see pictures; not cloud/vague: it is not known whether it sees pictures;"
        " not farm/large-70b: it is not loaded."
    )


def test_what_is_not_known_is_used_when_nothing_is_known_to_do_and_it_says_so() -> None:
    choice = choose("auto:reasoning", [SEES, VAGUE])
    assert choice.candidate is SEES
    assert "But it is not known whether it reasons." in choice.because


def test_the_words_of_a_choice_name_size_and_speed() -> None:
    quick, slow = on("a", "quick-3b", speed=50.0), on("b", "slow-3b", speed=20.0, state=State.LOADED)
    choice = choose("auto:fast", [slow, quick, on("c", "new-3b")])
    assert choice.because == "Chose a/quick-3b because it is the fastest, with 50 tokens per second."
    assert choice.others["b/slow-3b"] == "it was slower, or not measured"
    assert "is the smallest" in choose("auto:small", ALL).because
    assert "is the largest" in choose("auto:large", ALL).because


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        (on("z", "m"), on("a", "m", cost=1.0, state=State.LOADED), "it costs more"),
        (on("z", "m", state=State.LOADED, ahead=3), on("a", "m", state=State.UNLOADED), "it is not loaded"),
        (on("z", "m", state=State.SLEEPING), on("a", "m"), "it is not loaded"),
        (on("z", "m", ahead=1), on("a", "m", ahead=3), "3 requests are before it"),
        (on("z", "m", speed=30.0), on("a", "m", speed=10.0), "it was slower, or not measured"),
        (on("a", "m"), on("z", "m"), "it is as good, but later by name"),
    ],
)
def test_one_name_on_two_servers_goes_to_the_readier(better: Candidate, worse: Candidate, why: str) -> None:
    choice = choose("m", [worse, better])
    assert choice.candidate is better
    assert choice.others == {worse.name: why}
    assert (choice.server, choice.model) == (better.server, "m")


def test_a_model_with_a_slash_in_its_name_is_found() -> None:
    assert choose("qwen/qwen3-8b", [on("box", "qwen/qwen3-8b")]).candidate.name == "box/qwen/qwen3-8b"
    assert choose("box/qwen/qwen3-8b", [on("box", "qwen/qwen3-8b")]).server == "box"


def test_a_model_is_found_by_its_other_names_too_but_its_own_count_more() -> None:
    short, own = on("a", "llama3.2:latest", aliases=("llama3.2",)), on("b", "llama3.2")
    assert choose("llama3.2", [short]).model == choose("a/llama3.2", [short, own]).model == "llama3.2:latest"
    assert choose("llama3.2", [short, own]).candidate is own


def test_what_failed_to_load_is_the_last_for_auto_and_never_refused_by_name() -> None:
    failed, large = on("box", "failed-1b", state=State.FAILED, vision=True), on("box", "large-70b")
    assert choose("failed-1b", [failed, large]).candidate is failed
    choice = choose("auto:vision+small", [failed, large])
    assert choice.candidate is large
    assert choice.others == {"box/failed-1b": "its last load failed"}
    assert choose("auto", [failed]).candidate is failed


def test_the_size_of_a_mixture_is_that_of_all_its_experts() -> None:
    mixture, dense = on("box", "mixtral-8x7b"), on("box", "qwen2.5-13b")
    assert choose("auto:small", [mixture, dense]).candidate is dense
    assert choose("auto:large", [on("box", "m8", parameters="8x7B"), on("box", "q-14b")]).model == "m8"


@pytest.mark.parametrize(
    ("wanted", "candidates", "error", "says"),
    [
        ("smal-1b", ALL, UnknownModel, "Near it: small-1b"),
        ("auto:clever", ALL, BadInput, "Known, and joined by"),
        ("auto:vision", [SMALL], NotSupported, "box/small-1b: it does not see pictures"),
        (Wanted("small-1b", vision=True), ALL, NotSupported, "it does not see pictures"),
        (Wanted("auto", tokens=10**6), [SMALL, SEES], ContextExceeded, "No model has room for 1000000 tokens"),
        ("auto", [], ServerUnavailable, "No server that answers"),
        ("auto", [on("box", "embed", chats=False)], ServerUnavailable, "No server that answers"),
        ("auto", [on("box", "new", state=State.DOWNLOADING)], NotSupported, "it is still being downloaded"),
    ],
)
def test_a_refusal_says_what_to_do(
    wanted: Wanted | str, candidates: list[Candidate], error: type[BridgeError], says: str
) -> None:
    with pytest.raises(error, match=says):
        choose(wanted, candidates)


def test_what_a_request_needs_is_read_from_it() -> None:
    request = ChatRequest(
        "auto",
        (Message.user("What is it?", [Image(b"png")]),),
        Sampling(max_tokens=100),
        tools=(Tool("look"),),
        think=True,
    )
    assert Wanted.by(request, 50) == Wanted("auto", 150, True, True, True)
    assert Wanted.by(said("m")) == Wanted("m")


def test_a_model_that_is_named_need_not_have_room_for_the_longest_answer_that_is_allowed() -> None:
    asked = ChatRequest("m", (Message.user("hello"),), Sampling(max_tokens=100_000))
    assert choose(Wanted.by(asked, 50), [Candidate("box", Model("m", context=2048))]).model == "m"
    with pytest.raises(ContextExceeded):
        choose(Wanted.by(asked, 3000), [Candidate("box", Model("m", context=2048))])


STATES = st.sampled_from([None, State.LOADED, State.UNLOADED, State.FAILED])
KNOWN = st.sampled_from([None, True, False])
MODELS = st.builds(
    Model,
    st.sampled_from(["a-1b", "b-7b", "c"]),
    STATES,
    vision=KNOWN,
    tools=KNOWN,
    context=st.sampled_from([None, 100, 1000]),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(["one", "two"]),
        MODELS,
        st.sampled_from([0.0, 1.0]),
        st.integers(0, 2),
        st.sampled_from([None, 5.0, 9.0]),
    ),
    unique_by=lambda each: each.name,
)
WORDS = st.lists(st.sampled_from(["vision", "tools", "small", "large", "fast"]), max_size=3)


@given(CANDIDATES, WORDS, st.sampled_from([None, 50, 500]), st.randoms(use_true_random=False))
def test_a_choice_can_do_it_depends_on_no_order_and_leaves_nobody_unexplained(
    candidates: list[Candidate], words: list[str], tokens: int | None, chance: random.Random
) -> None:
    wanted = Wanted("auto:" + "+".join(words), tokens)
    try:
        choice = choose(wanted, candidates)
    except (NotSupported, ContextExceeded, ServerUnavailable):
        assert not any(_surely(each, words, tokens) for each in candidates)
        return
    assert choose(wanted, chance.sample(candidates, len(candidates))) == choice
    assert choice.others.keys() == {each.name for each in candidates} - {choice.candidate.name}
    assert _surely(choice.candidate, words, tokens) or not any(_surely(each, words, tokens) for each in candidates)


def _surely(each: Candidate, words: list[str], tokens: int | None) -> bool:
    able = all(getattr(each.model, word) for word in words if word in ("vision", "tools"))
    fits = tokens is None or (each.model.context is not None and each.model.context >= tokens)
    return able and fits and each.model.state is not State.FAILED


async def test_the_router_answers_by_any_name_and_tells_its_choice() -> None:
    async with text_server() as one, Queue.open([Endpoint("one", one.url)]) as queue:
        router, told = Router(queue), list[Choice]()
        reply = await router.ask(said("one/alpha"), on_choice=told.append)
        assert (reply.text, told[0].model) == ("alpha on Hello.", "alpha")
        names = ("one/alpha", "beta", "auto")
        results = await compare(Comparison(names, (Prompt("p", "Hi"),)), router)
    assert [cell.reply and cell.reply.text for cell in results.cells] == ["alpha on Hi", "beta on Hi", "alpha on Hi"]


async def test_a_full_queue_is_waited_for() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], most=1) as queue:
        box.gate.clear()
        router = Router(queue)
        tasks = [asyncio.create_task(queue.ask(said("a", "wait")))]
        await until(lambda: box.running["a"])
        tasks += [asyncio.create_task(router.ask(said("a"))) for _ in range(3)]
        await until(lambda: queue.snapshot().waiting)
        await asyncio.sleep(0.02)
        box.gate.set()
        assert [reply.text for reply in await asyncio.gather(*tasks)] == ["Hi"] * 4


async def test_a_server_without_a_list_is_asked_for_what_no_list_has() -> None:
    async with text_server(("alpha",)) as listing, scripted(CHAT, answered) as silent:
        silent.on("GET /v1/models", json_answer({}, 404))
        endpoints = [Endpoint("listing", listing.url), Endpoint("silent", silent.url, kind="openai")]
        async with Queue.open(endpoints) as queue:
            router = Router(queue)
            for name, server in (("alpha", "listing"), ("other", "silent"), ("silent/other", "silent")):
                reply = await router.ask(said(name))
                assert (reply.text, reply.server) == (f"{name.removeprefix('silent/')} on Hello.", server)


def test_speeds_follow_what_was_seen_and_believe_the_server_more() -> None:
    speeds = Speeds()
    assert speeds.of("box", "m").tokens_per_second is None
    speeds.see("box", "m", Reply(timings=Timings(tokens_per_second=100.0)).measured(ttft=1.0, tokens_per_second=50.0))
    assert speeds.of("box", "m").tokens_per_second == 100.0
    speeds.see("box", "m", Reply().measured(ttft=2.0, tokens_per_second=50.0))
    assert speeds.of("box", "m").tokens_per_second == pytest.approx(85.0)
    assert speeds.of("box", "m").ttft == pytest.approx(1.3)


async def test_the_router_asks_the_servers_of_a_queue_and_names_those_that_are_away() -> None:
    left, right = Box("left", ("a", "b")), Box("right", ("b",))
    async with boxes(left, right), Queue.open([left.endpoint, right.endpoint]) as queue:
        router = Router(queue, {"right": 3.0})
        await queue.ask(said("b"), server="left")
        assert (await router.choose(said("b"))).candidate.name == "left/b"
        assert (await router.choose(said("auto"))).candidate.name == "left/b"
        await right.kill()
        with pytest.raises(UnknownModel, match=r"Near it: .* Not asked: right does not answer"):
            await Router(queue, fresh=0.0).choose(said("c"))


async def test_the_cost_of_an_endpoint_counts_where_no_other_is_given() -> None:
    async with text_server() as cheap, text_server() as dear:
        endpoints = [Endpoint("a", dear.url, cost=2.0), Endpoint("b", cheap.url, cost=1.0)]
        async with Queue.open(endpoints) as queue:
            request = ChatRequest("auto", (Message.user("hi"),))
            assert (await Router(queue).choose(request)).server == "b"
            assert (await Router(queue, {"b": 3.0}).choose(request)).server == "a"


async def test_a_router_of_one_server_chooses_no_other() -> None:
    async with (
        text_server(("alpha", "beta")) as one,
        text_server(("beta", "gamma")) as two,
        Queue.open([Endpoint("one", one.url), Endpoint("two", two.url)]) as queue,
    ):
        router = Router(queue, server="two")
        assert (await router.choose(said("beta"))).candidate.name == "two/beta"
        assert (await router.choose(said("auto"))).server == "two"
        with pytest.raises(UnknownModel):
            await router.choose(said("alpha"))


async def test_a_model_asked_for_on_a_server_that_is_away_says_that_it_is_away() -> None:
    endpoints = [Endpoint("away", "http://127.0.0.1:9")]
    async with text_server(("alpha",)) as one, Queue.open([*endpoints, Endpoint("one", one.url)]) as queue:
        for router, name in ((Router(queue), "away/alpha"), (Router(queue, server="away"), "alpha")):
            with pytest.raises(ServerUnavailable, match="away does not answer"):
                await router.choose(said(name))
        assert (await Router(queue).choose(said("alpha"))).server == "one"


async def test_what_is_on_a_server_that_went_away_is_waited_for() -> None:
    left, right = Box("left", ("a",)), Box("right", ("b",))
    async with boxes(left, right), Queue.open([left.endpoint, right.endpoint]) as queue:
        router = Router(queue, fresh=0.0)
        assert (await router.choose(said("b"))).server == "right"
        await right.kill()
        asking = asyncio.create_task(router.ask(said("right/b")))
        await until(lambda: queue.snapshot().waiting)
        assert (await router.choose(said("auto"))).server == "left"
        await right.start()
        assert (await asking).server == "right"


async def test_a_model_of_a_server_that_is_not_set_up_is_taken_from_another() -> None:
    async with text_server(("alpha",)) as one, Queue.open([Endpoint("one", one.url)]) as queue:
        assert (await Router(queue).choose(said("studio/alpha"))).candidate.name == "one/alpha"
        with pytest.raises(UnknownModel, match="studio/beta"):
            await Router(queue).choose(said("studio/beta"))


async def test_a_server_that_was_away_is_asked_again_soon() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        router = Router(queue)
        await box.kill()
        with pytest.raises(ServerUnavailable):
            await router.choose(said("a"))
        await box.start()
        async with asyncio.timeout(2):
            while True:
                with suppress(ServerUnavailable):
                    assert (await router.choose(said("a"))).server == "box"
                    return
                await asyncio.sleep(0.05)
