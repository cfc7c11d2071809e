"""Counting tokens: by the server first, then by what earlier prompts of the model taught."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import ChatRequest, Tool
from llm_bridge.errors import ServerUnavailable
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.tokens import Counter, Learned


def asked(text: str, *images: Image, model: str = "m") -> ChatRequest:
    return ChatRequest(model, (Message.user(text, images),))


def test_the_start_is_three_and_a_half_bytes_to_a_token_and_a_tenth_more() -> None:
    learned = Learned()
    assert learned.estimate(asked("x" * 3500)) == pytest.approx(1.1 * 1004, abs=1)
    assert learned.estimate(asked("語" * 1000)) == pytest.approx(1.1 * (3000 / 3.5 + 4), abs=1)


def test_a_ratio_is_learned_by_model_and_by_weight() -> None:
    learned = Learned()
    for _ in range(20):
        learned.learn(asked("x" * 2000), 1004)
        learned.learn(asked("x"), 5)
    assert learned.estimate(asked("x" * 4000)) == pytest.approx(1.1 * 2004, rel=0.03)
    assert learned.estimate(asked("x" * 3500, model="other")) == pytest.approx(1.1 * 1004, abs=1)


def test_a_model_exchanged_under_its_name_is_learned_anew() -> None:
    learned = Learned()
    for _ in range(500):
        learned.learn(asked("x" * 4000), 1004)
    for _ in range(60):
        learned.learn(asked("x" * 4000), 2004)
    assert learned.estimate(asked("x" * 4000)) == pytest.approx(1.1 * 2004, rel=0.1)


@pytest.mark.parametrize("constant", [None, 0, -5, 3, 100_000])
def test_numbers_that_no_tokenizer_gives_teach_nothing(constant: int | None) -> None:
    learned = Learned()
    learned.learn(asked("x" * 3500), constant)
    assert learned.state == {}
    learned.learn(asked("", Image(b"x")), 5)
    assert learned.state == {}


def test_pictures_count_a_fixed_number_until_a_server_counted_some() -> None:
    learned = Learned()
    two = asked("hi", Image(b"x"), Image(b"y"))
    assert learned.estimate(two) == pytest.approx(1.1 * 2053, abs=2)
    learned.learn(two, 600)
    assert learned.estimate(two) == pytest.approx(1.1 * 600, abs=2)
    assert learned.estimate(asked("x" * 3500)) == pytest.approx(1.1 * 1004, abs=1)


def test_tools_and_their_calls_count_and_earlier_thoughts_do_not() -> None:
    learned, plain = Learned(), asked("hi")
    tool = Tool("look", "Looks at something", {"type": "object"})
    called = replace(plain.messages[0], tool_calls=(ToolCall("1", "look", '{"at": "it"}'),))
    thought = replace(plain.messages[0], reasoning="x" * 1000)
    assert learned.estimate(replace(plain, tools=(tool,))) > learned.estimate(plain)
    assert learned.estimate(replace(plain, messages=(called,))) > learned.estimate(plain)
    assert learned.estimate(replace(plain, messages=(thought,))) == learned.estimate(plain)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(), st.integers(-1, 5000), st.integers(0, 2))))
def test_what_was_learned_survives_as_json_and_estimates_stay_sane(
    seen: list[tuple[str, str, int, int]],
) -> None:
    learned = Learned()
    for model, text, tokens, images in seen:
        learned.learn(asked(text, *[Image(b"x")] * images, model=model), tokens)
    again = Learned(json.loads(json.dumps(learned.state)))
    for request in (asked("x" * 3000, model="a"), asked("語\ud800", Image(b"x"), model="b")):
        assert again.estimate(request) == learned.estimate(request)
    assert 150 <= learned.estimate(asked("x" * 3000, model="a")) <= 7000


class Server:
    """Counts what it is told to, and notes that it was asked."""

    def __init__(self, tokens: int | None = None, *, down: bool = False) -> None:
        self.tokens, self.down, self.asked = tokens, down, 0

    async def count(self, request: ChatRequest) -> int | None:
        self.asked += 1
        if self.down:
            raise ServerUnavailable("It does not answer.")
        return self.tokens


async def test_the_server_counts_first_and_what_it_counts_is_learned() -> None:
    learned, server = Learned(), Server(1754)
    request = asked("x" * 3500)
    assert await Counter(learned, server)(request, 100) == 1754
    assert learned.estimate(request) > 1.1 * 1500


@pytest.mark.parametrize("server", [None, Server(None), Server(down=True)])
async def test_without_a_server_that_counts_the_estimate_counts(server: Server | None) -> None:
    learned, request = Learned(), asked("x" * 3500)
    assert await Counter(learned, server)(request, 100) == learned.estimate(request)


async def test_a_server_is_not_asked_about_what_surely_fits() -> None:
    server = Server(9)
    count = Counter(Learned(), server)
    assert await count(asked("語" * 100), 1000) <= 1000
    assert server.asked == 0
    assert await count(asked("語" * 400), 1000) == 9
    assert await count(asked("hi", Image(b"x")), 1000) == 9
    assert server.asked == 2
