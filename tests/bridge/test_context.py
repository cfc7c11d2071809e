"""Fitting a chat into a window: what stays, what goes, and that the numbers of a server are believed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.chat import ChatRequest, Reply, Sampling
from llm_bridge.client import Client
from llm_bridge.context import STRATEGIES, Fitted, Fitting, Strategy, Summaries, fit, refit
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, ContextExceeded, ServerUnavailable
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.tokens import Counter, Learned
from tests.bridge.servers import chunk, json_answer, scripted, sse, stream


async def letters(request: ChatRequest, room: int) -> int:
    """A token for each letter, and one for each message."""
    return sum(len(message.text) + 1 for message in request.messages)


class Model:
    """Answers summaries with ``answer``, or fails with it, and keeps what it was asked."""

    def __init__(self, answer: str | BaseException = "S") -> None:
        self.answer = answer
        self.asked: list[ChatRequest] = []

    async def __call__(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Reply(self.answer)


def how(strategy: Strategy, model: Model | None = None, *, reserve: int = 1) -> Fitting:
    return Fitting(letters, strategy, reserve, Summaries(model or Model()))


def chat(*said: str, **fields: Any) -> ChatRequest:
    """Messages by their first letter: s, u and a are roles; "c1" calls tool 1 and "t1" is its answer."""
    return ChatRequest("m", tuple(message(each) for each in said), **fields)


def message(said: str) -> Message:
    match said[0]:
        case "c":
            return Message("assistant", (said,), tool_calls=(ToolCall(said[1:].strip("."), "f", "{}"),))
        case "t":
            return Message("tool", (said,), answers=said[1:].strip("."))
        case role:
            return Message({"s": "system", "u": "user", "a": "assistant"}[role], (said,))  # type: ignore[arg-type]


def told(fitted: Fitted | ChatRequest) -> list[str]:
    request = fitted.request if isinstance(fitted, Fitted) else fitted
    return [each.text for each in request.messages]


TURN = st.lists(st.sampled_from(["a", "tool"]), max_size=3)


@st.composite
def chats(draw: st.DrawFn) -> ChatRequest:
    """Well-formed threads: instructions anywhere, turns, calls with all their answers, and a question to answer."""
    said: list[str] = draw(st.lists(st.just("s"), max_size=2))
    calls = 0
    for turn in draw(st.lists(TURN, min_size=3, max_size=6)):
        said.append("u" + "." * draw(st.integers(0, 300)))
        for step in turn:
            calls += 1
            dots = "." * draw(st.integers(0, 300))
            said += [f"c{calls}{dots}", f"t{calls}{dots}"] if step == "tool" else [f"a{dots}"]
        said += draw(st.lists(st.just("s"), max_size=1))
    return chat(*said)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(deadline=None)
@given(request=chats(), share=st.floats(0.05, 1.1))
def test_whatever_the_chat_it_fits_or_is_refused_and_what_matters_stays(
    request: ChatRequest, share: float, strategy: Strategy
) -> None:
    window = 2 + int(asyncio.run(letters(request, 0)) * share)
    try:
        fitted = asyncio.run(fit(request, window, how(strategy))).request
    except ContextExceeded as refused:
        assert refused.details["needed"] > refused.details["window"] == window
        assert asyncio.run(letters(request, 0)) + 1 > window
        return
    assert asyncio.run(letters(fitted, 0)) + 1 <= window
    assert asyncio.run(fit(fitted, window, how(strategy))) == Fitted(fitted)
    own = [each for each in fitted.messages if not each.text.startswith("Summary")]
    assert len(fitted.messages) - len(own) <= (strategy == "summarise")
    places = iter(range(len(request.messages)))
    assert all(any(request.messages[place] is each for place in places) for each in own), "order and identity"
    assert [m for m in own if m.role == "system"] == [m for m in request.messages if m.role == "system"]
    assert [m for m in own if m.role == "user"][-1] is [m for m in request.messages if m.role == "user"][-1]
    assert own[-1].text == request.messages[-1].text
    called = [call.id for each in own for call in each.tool_calls]
    assert called == [each.answers for each in own if each.role == "tool"]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_fits_is_left_alone_and_counted_once(strategy: Strategy) -> None:
    counted = 0

    async def count(request: ChatRequest, room: int) -> int:
        nonlocal counted
        counted += 1
        return room

    request = chat("s", "u")
    assert (await fit(request, 100, replace(how(strategy), count=count))).request is request
    assert counted == 1


async def test_the_oldest_turns_go_first_and_whole() -> None:
    request = chat("s", "u1", "c1", "t1", "a1", "u2", "a2", "u3")
    fitted = await fit(request, 14, how("trim_oldest"))
    assert told(fitted) == ["s", "u2", "a2", "u3"]
    assert fitted.notes == ("4 messages were left out, the oldest, to fit into 14 tokens.",)
    assert told(await fit(request, 11, how("trim_oldest"))) == ["s", "u3"]


async def test_in_a_long_run_of_tools_the_question_and_the_newest_step_stay() -> None:
    request = chat("u1", "a1", "u2", "c1", "t1", "c2", "t2", "c3", "t3")
    assert told(await fit(request, 10, how("trim_oldest"))) == ["u2", "c3", "t3"]
    with pytest.raises(ContextExceeded, match="What cannot be left out needs 9 tokens"):
        await fit(request, 9, how("trim_oldest"))


async def test_from_the_middle_outwards_the_first_turn_stays_longest() -> None:
    request = chat("u1", "u2", "u3", "u4", "u5", "u6")
    shorter = [told(await fit(request, window, how("middle_out"))) for window in (16, 13, 10, 7, 4)]
    assert shorter == [
        ["u1", "u2", "u4", "u5", "u6"],
        ["u1", "u2", "u5", "u6"],
        ["u1", "u5", "u6"],
        ["u1", "u6"],
        ["u6"],
    ]


async def test_an_answer_after_another_question_stays_with_its_call() -> None:
    request = chat("u1", "c1", "u2", "t1", "u3", "a3", "u4")
    assert told(await fit(request, 21, how("trim_oldest"))) == ["u3", "a3", "u4"]
    # The last question stands between a call and its answer: all three stay.
    request = chat("u1", "u2", "c1", "u3", "t1")
    assert told(await fit(request, 13, how("trim_oldest"))) == ["u2", "c1", "u3", "t1"]
    with pytest.raises(ContextExceeded):
        await fit(request, 12, how("trim_oldest"))


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_instructions_that_alone_exceed_the_window_are_refused(strategy: Strategy) -> None:
    model = Model()
    with pytest.raises(ContextExceeded, match="The instructions alone need 31 tokens and the answer 10") as refused:
        await fit(chat("s" * 30, "u", sampling=Sampling(max_tokens=10)), 40, how(strategy, model))
    assert refused.value.details == {"needed": 41, "window": 40}
    assert model.asked == []


async def test_room_is_kept_for_the_answer() -> None:
    request = chat("u" * 79)
    await fit(request, 100, Fitting(letters, reserve=20))
    for fitting, fields in [
        (Fitting(letters, reserve=21), Sampling()),
        (Fitting(letters), Sampling()),
        (Fitting(letters, reserve=1), Sampling(max_tokens=21)),
    ]:
        with pytest.raises(ContextExceeded) as refused:
            await fit(replace(request, sampling=fields), 100, fitting)
        assert refused.value.details["needed"] > 100
    assert await fit(replace(request, sampling=Sampling(max_tokens=-1)), 100, Fitting(letters, reserve=1))
    with pytest.raises(ContextExceeded, match="choose a strategy"):
        await fit(chat("u1", "u2"), 6, how("error"))


def test_summaries_need_somebody_who_makes_them() -> None:
    with pytest.raises(ValueError, match="summaries"):
        Fitting(letters, "summarise")


LONG = [f"{role}{n:03}{'.' * 146}" for n in range(10) for role in "ua"] + ["u010" + "." * 146]


async def test_the_oldest_turns_become_a_summary_that_the_next_question_uses_again() -> None:
    model = Model("They talked.")
    summing = Fitting(letters, "summarise", 10, Summaries(model))
    request = chat("s", *LONG)
    fitted = await fit(request, 3010, summing)
    assert told(fitted)[:2] == ["s", "Summary of the conversation so far:\nThey talked."]
    assert fitted.notes == ("14 messages were summarised, the oldest, to fit into 3010 tokens.",)
    assert told(fitted)[2:] == LONG[14:]
    asked = model.asked[0]
    assert (asked.model, asked.think, asked.sampling.max_tokens) == ("m", False, 375)
    assert "User: u000" in asked.messages[1].text
    assert "Assistant: a006" in asked.messages[1].text
    assert "u007" not in asked.messages[1].text

    longer = chat("s", *LONG, "a" * 150, "u" * 150)
    assert told(await fit(longer, 3010, summing))[2:] == [*LONG[14:], "a" * 150, "u" * 150]
    assert len(model.asked) == 1
    much_longer = chat("s", *LONG, *["a" * 150, "u" * 150] * 7)
    await fit(much_longer, 3010, summing)
    assert len(model.asked) == 2
    assert model.asked[1].messages[1].text.startswith("Summary of what came before:\nThey talked.\n\nUser: u007")
    # Another model's summary is another.
    await fit(replace(request, model="n"), 3010, summing)
    assert len(model.asked) == 3


async def test_pictures_are_told_apart_in_what_a_summary_stands_for() -> None:
    model = Model()
    summaries = Fitting(letters, "summarise", 1, Summaries(model))
    for picture in (b"1", b"2", b"1"):
        shown = Message.user("." * 1000, [Image(picture)])
        await fit(ChatRequest("m", (shown, Message.user("?" * 200))), 1100, summaries)
    assert len(model.asked) == 2
    assert "[picture]" in model.asked[0].messages[1].text


async def test_what_is_too_long_for_one_summary_is_summarised_in_pieces_that_fit() -> None:
    model = Model("S" * 20)
    request = chat("u" + "x" * 3000, *LONG)
    fitted = await fit(request, 600, how("summarise", model))
    assert fitted.request.messages[0].text.endswith("S" * 20)
    assert len(model.asked) > 2
    for asked in model.asked:
        assert await letters(asked, 0) <= 600
    assert "[…]" in model.asked[0].messages[1].text
    assert all("Summary of what came before" in asked.messages[1].text for asked in model.asked[1:])


@pytest.mark.parametrize("answer", [ServerUnavailable("It is gone."), "", " \n", BadAnswer("Nonsense."), "S" * 5000])
async def test_a_summary_that_fails_is_told_and_the_oldest_turns_go_instead(answer: str | Exception) -> None:
    fitted = await fit(chat(*LONG), 600, how("summarise", Model(answer)))
    assert told(fitted) == told(await fit(chat(*LONG), 600, how("trim_oldest")))
    assert fitted.notes[0].startswith("The older messages could not be summarised: ")
    assert "left out" in fitted.notes[1]


async def test_when_even_the_summary_does_not_help_nothing_is_asked_again() -> None:
    model = Model("S" * 100)
    summaries = how("summarise", model)
    request = chat("u" + "1" * 1000, "u" + "2" * 1000)
    for _ in range(2):
        fitted = await fit(request, 1100, summaries)
        assert told(fitted) == ["u" + "2" * 1000]
        assert len(fitted.notes) == 2
    assert len(model.asked) == 1


async def test_a_cancelled_summary_is_no_failure() -> None:
    with pytest.raises(asyncio.CancelledError):
        await fit(chat(*LONG), 600, how("summarise", Model(asyncio.CancelledError())))


def exceeded(**details: Any) -> ContextExceeded:
    return ContextExceeded("Too long.", **details)


async def test_after_a_refusal_the_numbers_of_the_server_are_believed() -> None:
    request = chat("u1", "u2", "u3", "u4")
    # Twelve by the count, 24 by the server: each message is six, and three of them with the answer have no place.
    fitted = await refit(request, exceeded(needed=24, window=18), how("trim_oldest"))
    assert told(fitted) == ["u3", "u4"]
    # It does not say how much it needed: one more than there is.
    assert told(await refit(request, exceeded(window=23), how("trim_oldest"))) == ["u2", "u3", "u4"]
    # It does not say how much there is.
    assert told(await refit(request, exceeded(needed=24), how("trim_oldest"), 18)) == ["u3", "u4"]


@pytest.mark.parametrize(
    ("failure", "strategy"), [(exceeded(needed=24), "trim_oldest"), (exceeded(needed=24, window=18), "error")]
)
async def test_what_cannot_be_mended_is_the_failure_itself(failure: ContextExceeded, strategy: Strategy) -> None:
    with pytest.raises(ContextExceeded) as refused:
        await refit(chat("u1", "u2", "u3", "u4"), failure, how(strategy))
    assert refused.value is failure


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(deadline=None)
@given(request=chats(), share=st.floats(0.05, 1.1), needed=st.integers(1, 3000))
def test_what_is_sent_again_is_always_less(request: ChatRequest, share: float, needed: int, strategy: Strategy) -> None:
    window = 2 + int(asyncio.run(letters(request, 0)) * share)
    try:
        fitted = asyncio.run(refit(request, exceeded(needed=needed, window=window), how(strategy))).request
    except ContextExceeded:
        return
    assert len(fitted.messages) < len(request.messages) + (strategy == "summarise")
    assert fitted.messages != request.messages


async def test_a_real_client_counts_summarises_and_fits() -> None:
    """Through the wire, with a server that counts letters and tells its window."""

    def summary(received: Any) -> Any:
        return stream(sse(chunk("They talked."), chunk(None, "stop")))

    async with (
        scripted("POST /v1/chat/completions", summary) as server,
        Client.open(Endpoint("scripted", server.url, kind="openai")) as client,
    ):
        server.on("GET /v1/models", json_answer({"data": [{"id": "m"}]}))
        fitting = Fitting(Counter(Learned(), client), "summarise", 50, Summaries(client.ask))
        fitted = await fit(chat("s", *(["u" * 400, "a" * 400] * 20), "u?"), 1000, fitting)
        assert fitted.request.messages[1].text.endswith("They talked.")
        sent = server.bodies("POST /v1/chat/completions")
        assert sent
        assert all(len(json.dumps(body["messages"])) < 3.5 * 1000 for body in sent)
