"""Messages as OpenAI and Anthropic write them: what goes in comes out, and what cannot be understood is refused."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message, Part, ToolCall
from llm_bridge.shapes import ImageLimits, from_anthropic, from_openai, to_anthropic, to_openai

PNG = b"\x89PNG\r\n\x1a\n"
TEXTS = st.text(min_size=1, max_size=20)
IMAGES = st.one_of(
    st.binary(max_size=20).map(lambda tail: Image(PNG + tail, "image/png")),
    st.binary(max_size=20).map(lambda tail: Image(b"\xff\xd8\xff" + tail, "image/jpeg")),
    st.binary(max_size=20).map(lambda tail: Image(b"GIF89a" + tail, "image/gif")),
    st.binary(max_size=20).map(lambda tail: Image(b"RIFF\0\0\0\0WEBP" + tail, "image/webp")),
)
ARGUMENTS = st.dictionaries(TEXTS, st.one_of(st.none(), st.integers(), TEXTS), max_size=3)
CALLS = st.builds(ToolCall, TEXTS, TEXTS, ARGUMENTS.map(lambda value: json.dumps(value, ensure_ascii=False)))


@st.composite
def parts(draw: st.DrawFn) -> tuple[Part, ...]:
    """One text, or pictures among texts, as the shapes can tell them apart."""
    return tuple(
        draw(st.one_of(TEXTS.map(lambda text: [text]), st.lists(st.one_of(IMAGES, TEXTS), min_size=1, max_size=4)))
    )


def said(message: Message) -> Message:
    """The same with texts alone joined, as OpenAI's shape has them."""
    if message.parts and not message.images:
        return Message(
            message.role, (message.text,), message.reasoning, message.tool_calls, message.answers, message.name
        )
    return message


USERS = st.builds(Message, st.just("user"), parts(), name=st.one_of(st.none(), TEXTS))
ASSISTANTS = st.builds(
    Message, st.just("assistant"), parts(), st.text(max_size=9), st.lists(CALLS, max_size=2).map(tuple)
)
ANSWERS = st.builds(Message, st.just("tool"), parts(), answers=TEXTS)
SYSTEMS = st.lists(TEXTS.map(Message.system), max_size=1)
THREADS = st.tuples(SYSTEMS, st.lists(st.one_of(USERS, ASSISTANTS, ANSWERS), max_size=6)).map(
    lambda drawn: tuple(drawn[0] + drawn[1])
)


@settings(deadline=None)
@given(THREADS)
def test_openai_gives_back_what_it_was_given(messages: tuple[Message, ...]) -> None:
    written = json.loads(json.dumps(to_openai(messages, reasoning=True)))
    assert from_openai(written) == tuple(said(message) for message in messages)


@settings(deadline=None)
@given(THREADS)
def test_anthropic_gives_back_what_it_was_given_but_neighbours_become_one_turn(messages: tuple[Message, ...]) -> None:
    system, turns = to_anthropic(messages, reasoning=True)
    turns = json.loads(json.dumps(turns))
    assert all(one["role"] != two["role"] for one, two in pairwise(turns))
    read = from_anthropic(system, turns)
    assert from_anthropic(*to_anthropic(read, reasoning=True)) == read
    assert "".join(m.text for m in read) == "".join(m.text for m in messages)
    assert [i for m in read for i in m.images] == [i for m in messages for i in m.images]
    assert [c for m in read for c in m.tool_calls] == [c for m in messages for c in m.tool_calls]
    assert [m.answers for m in read if m.role == "tool"] == [m.answers for m in messages if m.role == "tool"]
    assert "".join(m.reasoning for m in read) == "".join(m.reasoning for m in messages)


@settings(deadline=None)
@given(SYSTEMS, st.lists(st.tuples(USERS, ASSISTANTS), max_size=4))
def test_anthropic_keeps_alternating_turns_as_they_are(
    system: list[Message], turns: list[tuple[Message, Message]]
) -> None:
    messages = [*system, *(Message(m.role, m.parts, m.reasoning, m.tool_calls) for turn in turns for m in turn)]
    assert list(from_anthropic(*to_anthropic(messages, reasoning=True))) == messages


def test_the_role_system_stands_first_and_once_and_thoughts_stay_unless_asked_for() -> None:
    messages = [
        Message.user("Hi"),
        Message.system("Be kind."),
        Message("assistant", ("Hello",), reasoning="greet"),
        Message.system("Be short."),
    ]
    written = to_openai(messages)
    assert written[0] == {"role": "system", "content": "Be kind.\n\nBe short."}
    assert [message["role"] for message in written] == ["system", "user", "assistant"]
    assert "reasoning_content" not in written[2]
    system, turns = to_anthropic(messages)
    assert system == "Be kind.\n\nBe short."
    assert turns[1]["content"] == [{"type": "text", "text": "Hello"}]


def test_openai_reads_the_older_and_the_newer_forms() -> None:
    url = Image(PNG).url
    read = from_openai(
        [
            {"role": "developer", "content": "D"},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": url}],
            },
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning": "hm",
                "function_call": {"name": "f", "arguments": "{}"},
            },
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "g", "arguments": {"n": 1}}}]},
            {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "2"}]},
        ]
    )
    assert read[0] == Message.system("D")
    assert read[1].parts == ("a", Image(PNG))
    assert read[2].parts == (Image(PNG),)
    assert (read[3].parts, read[3].reasoning) == ((), "hm")
    assert read[4].role == "tool"
    assert read[4].answers == read[3].tool_calls[0].id
    assert read[5].tool_calls == (ToolCall("x", "g", '{"n": 1}'),)
    assert (read[6].answers, read[6].text) == ("x", "2")
    assert to_openai(read[5:6])[0]["content"] is None


def user(*content: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "fine"}, {"role": "user", "content": list(content)}]


def shown(url: object) -> list[dict[str, Any]]:
    return user({"type": "image_url", "image_url": {"url": url}})


WRONG: list[tuple[object, str]] = [
    ("text", "messages must be a list, not a text"),
    ([None], "messages[0] must be an object, not null"),
    ([{"content": "x"}], "messages[0].role must be a text"),
    ([{"role": "robot"}], 'messages[0] has the unknown role "robot"'),
    ([{"role": "user", "content": 5}], "messages[0].content must be a list, not a number"),
    (user({"type": "input_audio"}), "messages[1].content[0] is of a kind"),
    (user({"type": "text", "text": True}), "messages[1].content[0].text must be a text, not true or false"),
    (shown("https://example.org/a.png"), "messages[1].content[0].image_url is an address"),
    (shown("file:///etc/passwd"), "is no data URL"),
    (shown("data:image/png;base64,%%%"), "is no valid base64"),
    (shown("data:image/png;base64,aGVsbG8="), "is no PNG, JPEG, WebP or GIF"),
    (shown(None), "messages[1].content[0].image_url must be a text, not null"),
    ([{"role": "tool", "content": "1"}], "messages[0].tool_call_id must be a text"),
    ([{"role": "function", "name": "f"}], "messages[0] answers a function that was not called"),
    ([{"role": "user", "tool_calls": [{}]}], "messages[0] calls tools"),
    ([{"role": "assistant", "tool_calls": {"a": 1}}], "messages[0].tool_calls must be a list, not an object"),
    ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "messages[0].tool_calls[0].id must be a text"),
    (
        [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}],
        "messages[0].tool_calls[0] is of a kind",
    ),
]


@pytest.mark.parametrize(("messages", "words"), WRONG)
def test_what_openai_messages_cannot_mean_is_refused_by_its_place(messages: object, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        from_openai(messages)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("system", "messages", "words"),
    [
        (5, [], "system must be a list"),
        ([{"type": "text"}], [], "system[0].text must be a text"),
        (None, [{"role": "system", "content": "x"}], "messages[0] has an unknown role"),
        (None, [{"role": "user", "content": [{"type": "tool_use"}]}], "messages[0].content[0] is of a kind"),
        (None, [{"role": "assistant", "content": [{"type": "tool_result"}]}], "messages[0].content[0] is of a kind"),
        (None, [{"role": "user", "content": [{"type": "document"}]}], "messages[0].content[0] is of a kind"),
        (None, [{"role": "assistant", "content": [{"type": "tool_use", "input": "{}"}]}], ".input must be an object"),
        (
            None,
            [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x/y"}}]}],
            "messages[0].content[0] is no picture in base64",
        ),
        (
            None,
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "x"}]}]}],
            "messages[0].content[0].content[0] is of a kind",
        ),
    ],
)
def test_what_anthropic_messages_cannot_mean_is_refused_by_its_place(
    system: object, messages: object, words: str
) -> None:
    with pytest.raises(BadInput) as refused:
        from_anthropic(system, messages)
    assert words in refused.value.message


def test_anthropic_splits_answers_of_tools_from_what_the_user_says() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"type": "text", "text": "And?"},
    ]
    read = from_anthropic([{"type": "text", "text": "S"}], [{"role": "user", "content": blocks}])
    assert [(message.role, message.text, message.answers) for message in read] == [
        ("system", "S", None),
        ("tool", "1", "a"),
        ("tool", "2", "b"),
        ("user", "And?", None),
    ]
    assert [turn["role"] for turn in to_anthropic(read)[1]] == ["user"]
    hidden = [{"type": "redacted_thinking", "data": "…"}, {"type": "thinking", "thinking": "hm"}]
    assert from_anthropic(None, [{"role": "assistant", "content": hidden}]) == (Message("assistant", reasoning="hm"),)


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '{"a": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_still_reach_anthropic(arguments: str) -> None:
    called = Message("assistant", tool_calls=(ToolCall("1", "f", arguments),))
    assert to_anthropic([called])[1][0]["content"][0]["input"] == {"arguments": arguments}


def test_pictures_are_bounded_in_number_and_size_and_their_bytes_say_what_they_are() -> None:
    picture = shown("data:image/png;base64," + base64.b64encode(b"\xff\xd8\xff" + bytes(97)).decode())
    assert from_openai(picture)[1].images[0].mime == "image/jpeg"
    with pytest.raises(BadInput, match="one picture too many"):
        from_openai([*picture, *picture], ImageLimits(images=1))
    with pytest.raises(BadInput, match="too large"):
        from_openai([*picture, *picture], ImageLimits(bytes=150))
    with pytest.raises(BadInput, match="too large"):
        from_openai(picture, ImageLimits(bytes=90))
    with pytest.raises(BadInput, match="too large"):
        # Refused before it is decoded: it is not even base64.
        from_openai(shown("data:image/png;base64," + "%" * 1000), ImageLimits(bytes=90))
