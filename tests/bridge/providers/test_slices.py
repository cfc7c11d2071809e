"""The same events come out of a recorded stream, wherever the network cuts it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Loading, Transcript
from llm_bridge.providers import Decoder
from llm_bridge.providers.llama_cpp import LlamaDecoder
from llm_bridge.providers.llama_swap import SwapDecoder
from llm_bridge.providers.openai import ChunkDecoder
from tests.bridge.providers.slices import events_of, halves

_RECORDED = Path(__file__).parent.parent / "recorded"
KIND = "text/event-stream"
STREAMS: dict[str, Callable[[], Decoder]] = {
    "llama-cpp/reasoning": lambda: LlamaDecoder("box"),
    "llama-cpp/tool_call": lambda: LlamaDecoder("box"),
    "llama-swap/loading_then_text": lambda: SwapDecoder("box", "coder"),
    "vllm/reasoning": lambda: ChunkDecoder("box"),
    "vllm/tool_call": lambda: ChunkDecoder("box"),
    "openai/text": lambda: ChunkDecoder("box"),
}


def _body(name: str) -> bytes:
    return (_RECORDED / f"{name}.sse").read_bytes()


@pytest.mark.parametrize("name", STREAMS)
async def test_a_cut_anywhere_changes_nothing(name: str) -> None:
    body, decoder = _body(name), STREAMS[name]
    whole = await events_of(decoder(), KIND, [body])
    for cut in halves(body):
        assert await events_of(decoder(), KIND, cut) == whole
    assert await events_of(decoder(), KIND, [body[at : at + 1] for at in range(len(body))]) == whole


@given(cuts=st.lists(st.integers(min_value=0, max_value=4000), max_size=30), crlf=st.booleans())
async def test_what_llama_swap_says_while_it_loads_is_known_in_any_pieces(cuts: list[int], crlf: bool) -> None:
    body = _body("llama-swap/loading_then_text")
    body = body.replace(b"\n", b"\r\n") if crlf else body
    edges = [0, *sorted(cuts), len(body)]
    packets = [body[start:end] for start, end in pairwise(edges)]
    events = await events_of(SwapDecoder("box", "coder"), KIND, packets)
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    assert [event for event in events if isinstance(event, Loading)] == [Loading("coder")]
    assert (transcript.reasoning, transcript.text) == ("Let me see.", "Hi there")
