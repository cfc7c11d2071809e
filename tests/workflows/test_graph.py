"""Reading a graph: API format and nothing else, strictly, and no circles at any depth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import TemplateError
from comfy_mcp.workflows.graph import circle_in, read_graph
from tests.workflows.samples import small, unhurried


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "A", "inputs": inputs}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value


REFUSED: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b'{"1": "\xff"}', "UTF-8"),
    "a list": (b"[]", "no graph"),
    "nothing": (b"{}", "no graph"),
    "canvas": (b'{"nodes": [], "links": []}', "comfy-workbench import"),
    "another key beside nodes": (json.dumps({**small(), "extra": {"x": 1}}).encode(), "'extra' has no class_type"),
    "no inputs": (b'{"1": {"class_type": "A"}}', "class_type and inputs"),
    "inputs are a list": (b'{"1": {"class_type": "A", "inputs": []}}', "class_type and inputs"),
    "class is a number": (b'{"1": {"class_type": 5, "inputs": {}}}', "class_type and inputs"),
    "class is empty": (b'{"1": {"class_type": "", "inputs": {}}}', "no usable id or class"),
    "id holds a line": (b'{"1\\n": {"class_type": "A", "inputs": {}}}', "no usable id or class"),
    "feeds itself": (json.dumps({"1": node(x=["1", 0])}).encode(), "1 feed each other"),
    "circle of two": (json.dumps({"1": node(x=["2", 0]), "2": node(x=["1", 0])}).encode(), "feed each other"),
    "link to nowhere": (json.dumps({"1": node(x=["9", 0])}).encode(), "no node 9"),
    "link without slot": (json.dumps({"1": node(x=["1"])}).encode(), "broken link"),
    "link of three": (json.dumps({"1": node(x=["1", 0, 0])}).encode(), "broken link"),
    "link by number": (json.dumps({"1": node(x=[1, 0])}).encode(), "broken link"),
    "slot is a text": (json.dumps({"1": node(x=["1", "0"])}).encode(), "broken link"),
    "slot is truth": (json.dumps({"1": node(x=["1", True])}).encode(), "broken link"),
    "slot below zero": (json.dumps({"1": node(x=["1", -1])}).encode(), "broken link"),
    "no number": (b'{"1": {"class_type": "A", "inputs": {"x": NaN}}}', "NaN"),
    "endless": (b'{"1": {"class_type": "A", "inputs": {"x": 1e999}}}', "too large"),
    "65 bits": (json.dumps({"1": node(x=2**64)}).encode(), "64 bits"),
    "65 bits inside": (json.dumps({"1": node(x={"__value__": [-(2**63) - 1]})}).encode(), "64 bits"),
    "twice": (b'{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "B", "inputs": {}}}', "twice"),
    "half a character": (b'{"1": {"class_type": "A", "inputs": {"x": "\\ud800"}}}', "half of a character"),
    "too deep": (json.dumps({"1": node(x=nested(64))}).encode(), "64 levels"),
    "deeper than the reader": (b"[" * 100_000, "levels deep"),
    "too many": (json.dumps({str(n): node() for n in range(2001)}).encode(), "2000 nodes"),
    "too large": (b" " * (4 << 20) + b"{}", "4 MiB"),
}


@pytest.mark.parametrize(("data", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_graph_is_refused_with_a_reason(data: bytes, told: str) -> None:
    with pytest.raises(TemplateError, match=told) as caught:
        read_graph(data)
    assert caught.value.hint


def test_a_graph_is_kept_as_exported_but_for_what_only_comfyui_writes() -> None:
    told = small()
    told["2"] |= {"_meta": {"title": "Loader"}, "is_changed": ["abc"]}
    read = read_graph(json.dumps(told).encode())
    assert "is_changed" not in read["2"]
    assert read["2"]["_meta"] == {"title": "Loader"}
    assert read["1"] == told["1"]


def test_the_largest_seed_and_wrapped_lists_pass() -> None:
    graph = read_graph(json.dumps({"1:5": node(seed=2**64 - 1, many={"__value__": [1, 2]})}).encode())
    assert graph["1:5"]["inputs"]["seed"] == 2**64 - 1


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes that are fed by earlier ones only."""
    count = draw(st.integers(1, 12))
    return {
        str(n): node(
            **{f"i{k}": [str(draw(st.integers(0, n - 1))), 0] for k in range(draw(st.integers(0, 3)))} if n else {}
        )
        for n in range(count)
    }


@unhurried
@given(acyclic())
def test_no_circle_is_seen_where_there_is_none(graph: dict[str, Any]) -> None:
    assert circle_in(graph) == []


@unhurried
@given(acyclic(), st.data())
def test_every_circle_is_seen_and_named(graph: dict[str, Any], data: st.DataObject) -> None:
    first, last = sorted(data.draw(st.lists(st.sampled_from(list(graph)), min_size=2, max_size=2)), key=int)
    graph[last]["inputs"]["forth"] = [first, 0] if first != last else [last, 0]
    graph[first]["inputs"]["back"] = [last, 0]

    circle = circle_in(graph)

    assert circle
    for consumer, source in zip(circle, circle[1:] + circle[:1], strict=True):
        assert source in [link[0] for link in graph[consumer]["inputs"].values()]


def test_a_chain_of_2000_nodes_is_no_trouble() -> None:
    chain = {str(n): node(**({"x": [str(n + 1), 0]} if n < 1999 else {})) for n in range(2000)}
    assert len(read_graph(json.dumps(chain).encode())) == 2000
    chain["1999"] = node(x=["0", 0])
    with pytest.raises(TemplateError, match="feed each other"):
        read_graph(json.dumps(chain).encode())
