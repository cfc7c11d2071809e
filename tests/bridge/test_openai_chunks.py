"""What chunks of the OpenAI protocol and its many readings become, one decoder for one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_bridge.chat import Done, Event, Reasoning, Reply, Text, Timings, ToolCallPiece, Transcript, Usage
from llm_bridge.errors import BadAnswer, BridgeError, ContextExceeded, ServerBusy, ServerError, ServerLost
from llm_bridge.messages import ToolCall
from llm_bridge.providers.interface import MOST_CALLS
from llm_bridge.providers.openai import ChunkDecoder
from tests.bridge.servers import chunk

STOP = chunk(finish="stop")


def decoded(*chunks: Any) -> list[Event]:
    decoder = ChunkDecoder("box")
    events = [event for each in chunks for event in decoder.feed("", json.dumps(each))]
    return [*events, *decoder.flush(), decoder.end()]


def reply(*chunks: Any) -> Reply:
    transcript = Transcript()
    for event in decoded(*chunks):
        transcript.add(event)
    return transcript.reply


def calls(*deltas: Any) -> list[tuple[str, str]]:
    """Name and arguments of the calls in chunks with these lists of calls; each call has an id of its own."""
    found = reply(*(chunk(tool_calls=delta) for delta in deltas), chunk(finish="tool_calls")).tool_calls
    assert len({call.id for call in found}) == len(found)
    assert all(call.id for call in found)
    return [(call.name, call.arguments) for call in found]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking", "reasoning_text"])
def test_thinking_comes_under_any_of_its_names(name: str) -> None:
    whole = reply(chunk(**{name: "Hm"}), chunk(None, content=None, **{name: "."}), chunk("Hi", **{name: None}), STOP)
    assert (whole.reasoning, whole.text) == ("Hm.", "Hi")


def test_thinking_under_two_names_at_once_comes_once() -> None:
    assert reply(chunk(reasoning="Hm", reasoning_content="Hm"), STOP).reasoning == "Hm"


def test_null_and_empty_contents_say_nothing() -> None:
    assert decoded(chunk(role="assistant", content=None), chunk(""), chunk(tool_calls=None), STOP) == [
        Done("stop", model="m")
    ]


def test_usage_beside_no_choices_and_timings_are_told_by_the_end() -> None:
    usage = {
        "prompt_tokens": 22,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    timings = {"prompt_ms": 742, "predicted_ms": 545.0, "predicted_per_second": 55.5, "cache_n": 0}
    events = decoded(chunk("Hi"), STOP, {"choices": [], "usage": usage, "timings": timings})
    assert events[-1] == Done("stop", Usage(22, 4, 0, 3), Timings(None, 0.742, 0.545, 55.5), "m")


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "9", "completion_tokens": -1}, 5]
)
def test_what_is_not_told_stays_unknown(usage: Any) -> None:
    assert decoded(chunk("Hi"), {**STOP, "usage": usage})[-1] == Done("stop", model="m")


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("abort", "unknown"),
    ],
)
def test_why_it_ended_is_said_in_our_words(told: str, ours: str) -> None:
    assert reply(chunk("Hi"), chunk(finish=told)).finish == ours


def test_a_call_comes_in_pieces() -> None:
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": ""}}
    more = [{"index": 0, "function": {"arguments": each}} for each in ('{"x"', ": 1}")]
    assert calls([first], [more[0]], [more[1]]) == [("add", '{"x": 1}')]


def test_a_call_whose_every_piece_repeats_id_and_name_is_one() -> None:
    pieces = [{"index": 0, "id": "a", "function": {"name": "add", "arguments": each}} for each in ("{", "}")]
    assert calls([pieces[0]], [pieces[1]]) == [("add", "{}")]


def test_several_calls_come_at_once_and_mixed() -> None:
    first = [{"index": place, "id": f"c{place}", "function": {"name": "f", "arguments": "{"}} for place in (0, 1)]
    ends = [{"index": place, "function": {"arguments": "}"}} for place in (0, 1)]
    assert calls(first, [ends[1]], [ends[0]]) == [("f", "{}"), ("f", "{}")]


def test_calls_without_an_index_are_told_apart() -> None:
    def call(id: str, name: str) -> Any:
        return {"id": id, "function": {"name": name, "arguments": "{}"}}

    assert calls([call("a", "f")], [call("b", "g")]) == [("f", "{}"), ("g", "{}")]
    assert calls([call("a", "f"), call("b", "f")]) == [("f", "{}"), ("f", "{}")]
    assert calls([call("", "f")], [call("", "g")]) == [("f", "{}"), ("g", "{}")]


def test_pieces_without_an_index_belong_to_the_last_call() -> None:
    first = {"id": "a", "function": {"name": "f", "arguments": "{"}}
    assert calls([first], [{"function": {"arguments": "}"}}]) == [("f", "{}")]


def test_whole_calls_that_all_have_index_0_are_told_apart_by_their_ids() -> None:
    each = [{"index": 0, "id": id, "function": {"name": "f", "arguments": id}} for id in "ab"]
    assert calls([each[0]], [each[1]]) == [("f", "a"), ("f", "b")]


def test_arguments_may_be_an_object() -> None:
    assert calls([{"function": {"name": "f", "arguments": {"x": [1]}}}]) == [("f", '{"x": [1]}')]
    assert calls([{"function": {"name": "f", "arguments": None}}]) == [("f", "")]


def test_the_old_function_call_is_a_tool_call() -> None:
    pieces = [chunk(function_call={"name": "f", "arguments": ""}), chunk(function_call={"arguments": "{}"})]
    assert reply(*pieces, chunk(finish="function_call")).tool_calls == (ToolCall("call_0", "f", "{}"),)


def test_id_and_name_come_with_the_first_piece_alone() -> None:
    pieces = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": each}} for each in "{}"]
    events = decoded(*(chunk(tool_calls=[piece]) for piece in pieces), STOP)
    assert events[:2] == [ToolCallPiece(0, "{", "a", "f"), ToolCallPiece(0, "}")]


def test_a_second_answer_that_nobody_asked_for_is_not_mixed_in() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    assert decoded(chunk("Hi"), other, STOP) == [Text("Hi"), Done("stop", model="m")]


def test_a_whole_answer_instead_of_a_stream_is_one_too() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
    answer = {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 2}}
    assert decoded(answer) == [Reasoning("Hm"), Text("Hi"), Done("stop", Usage(2), model="m")]


def test_halves_of_characters_do_not_come_through() -> None:
    assert reply(chunk("a\ud83d"), chunk("\ude00b"), chunk("\ud83d\ude00ü"), STOP).text == "a\ufffd\ufffdb😀ü"


def test_completions_of_the_old_kind_have_a_text() -> None:
    assert reply({"choices": [{"text": "Hi", "finish_reason": "stop"}]}).text == "Hi"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("", {"error": {"message": "CUDA error", "type": "server_error"}}, ServerError),
        ("", {"error": "CUDA error"}, ServerError),
        ("error", {"error": {"message": "CUDA error"}}, ServerError),
        ("error", {"message": "Loading model", "code": 503}, ServerBusy),
        ("", {"object": "error", "message": "maximum context length", "code": 400}, ContextExceeded),
        ("", {"error": {"message": "gone"}, "choices": [{"finish_reason": "error"}]}, ServerError),
    ],
)
def test_an_error_in_the_stream_is_raised_in_its_meaning(name: str, data: Any, expected: type[BridgeError]) -> None:
    with pytest.raises(expected):
        ChunkDecoder("box").feed(name, json.dumps(data))


def test_the_words_of_an_error_event_that_is_no_json_are_passed_on() -> None:
    with pytest.raises(ServerError, match="out of cheese"):
        ChunkDecoder("box").feed("error", "out of cheese")


@pytest.mark.parametrize("data", ["{", "nothing", "[1]", "1", '"text"', "[" * 100_000])
def test_what_is_no_json_object_is_a_bad_answer(data: str) -> None:
    with pytest.raises(BadAnswer):
        ChunkDecoder("box").feed("", data)


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        '{"choices": null}',
        '{"choices": [null, 3]}',
        '{"choices": [{"delta": []}]}',
        '{"choices": [{"delta": {"content": 5}}]}',
    ],
)
def test_chunks_of_odd_shapes_say_nothing(data: str) -> None:
    assert ChunkDecoder("box").feed("", data) == []


@pytest.mark.parametrize("data", ["[DONE]", " [DONE]\r"])
def test_nothing_after_the_end_is_looked_at(data: str) -> None:
    decoder = ChunkDecoder("box")
    decoder.feed("", json.dumps(chunk("Hi")))
    decoder.feed("", data)
    assert decoder.ended
    assert decoder.feed("", "junk") == []
    assert decoder.end() == Done("unknown", model="m")


def test_an_answer_without_any_end_is_not_whole() -> None:
    with pytest.raises(ServerLost):
        decoded(chunk("Hi"))


def test_an_answer_is_whole_without_done_when_it_says_why_it_ended() -> None:
    assert reply(chunk("Hi"), STOP).text == "Hi"


@pytest.mark.parametrize("together", [True, False], ids=["one answer", "a stream"])
def test_tool_calls_without_end_are_refused(together: bool) -> None:
    asked = [{"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(MOST_CALLS + 1)]
    assert len(calls(asked[:-1])) == MOST_CALLS
    with pytest.raises(BadAnswer, match="more than 256 tool calls"):
        calls(*([asked] if together else [[each] for each in asked]))
