"""Graphs as pictures: where everything stands, and that nothing in them can do harm."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.workflows import drawn, sketched, told_nodes
from comfy_mcp.workflows.layout import MOST_LINKS, MOST_NODES, Link, laid_out
from tests.workflows.samples import SHIPPED, unhurried

Graph = dict[str, dict[str, Any]]


def parsed(svg: str | None) -> ET.Element:
    assert svg is not None
    return ET.fromstring(svg)


def chain(length: int) -> Graph:
    return {str(n): {"class_type": "Blur", "inputs": {"image": [str(n - 1), 0]} if n else {}} for n in range(length)}


@pytest.mark.parametrize("name", sorted(SHIPPED.templates))
def test_every_node_and_link_of_a_shipped_template_is_drawn(name: str) -> None:
    graph = SHIPPED.templates[name].graph
    links = sum(isinstance(value, list) for content in graph.values() for value in content["inputs"].values())
    for svg in (drawn(graph, label=name), sketched(graph)):
        root = parsed(svg)
        assert len(root.findall(".//rect")) == len(graph)
        assert len(root.findall("path")) == links


@pytest.mark.parametrize("name", sorted(SHIPPED.templates))
def test_nodes_stand_apart_and_links_go_right(name: str) -> None:
    root = parsed(drawn(SHIPPED.templates[name].graph, label=name))
    boxes = [tuple(float(rect.get(key, "")) for key in ("x", "y", "width", "height")) for rect in root.iter("rect")]
    for (x, y, width, height), (x2, y2, width2, height2) in combinations(boxes, 2):
        assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
    for path in root.iter("path"):
        numbers = re.findall(r"-?\d+", path.get("d", ""))
        assert int(numbers[0]) < int(numbers[-2])
    view = [float(each) for each in root.get("viewBox", "").split()]
    assert all(view[0] <= x and x + width <= view[0] + view[2] for x, _, width, _ in boxes)
    assert all(view[1] <= y and y + height <= view[1] + view[3] for _, y, _, height in boxes)


def test_what_people_set_and_what_is_broken_stand_out() -> None:
    graph = chain(3)
    root = parsed(drawn(graph, label="x", marks={"1": ["radius", "sigma"]}, bad=["2"]))
    classes = [rect.get("class") for rect in root.iter("rect")]
    assert classes == ["node", "node bound", "node bad"]
    assert [text.text for text in root.iter("text") if text.get("class") == "line"] == ["radius", "sigma"]
    # Not by its colour alone.
    assert any((text.text or "").startswith("⚠") for text in root.iter("text"))


def test_texts_of_strangers_stay_texts() -> None:
    evil = "<script>alert(1)</script>\u202e\x00\"' onload=x"
    graph: Graph = {evil: {"class_type": evil, "inputs": {}, "_meta": {"title": evil}}}
    svg = drawn(graph, label=evil, marks={evil: [evil]})
    root = parsed(svg)
    assert svg is not None and "<script" not in svg and "\u202e" not in svg and "\x00" not in svg
    assert {each.tag for each in root.iter()} == {"svg", "g", "title", "rect", "text"}
    assert not any(name.startswith("on") or name == "style" for each in root.iter() for name in each.attrib)
    assert "\u202e" not in str(told_nodes(graph))


@pytest.mark.parametrize("title", [None, 7, {"a": 1}, "", "  "])
def test_a_title_that_is_none_falls_to_the_class(title: object) -> None:
    graph: Graph = {"1": {"class_type": "Blur", "inputs": {}, "_meta": {"title": title}}}
    assert told_nodes(graph)[0].title == "Blur"


def test_what_nobody_could_read_is_not_drawn() -> None:
    assert drawn(chain(MOST_NODES), label="x") is not None
    assert drawn(chain(MOST_NODES + 1), label="x") is None and sketched(chain(MOST_NODES + 1)) is None
    assert len(told_nodes(chain(MOST_NODES + 1))) == MOST_NODES + 1


def fed(links: int) -> Graph:
    """The last node of a long chain takes this many links from the first."""
    graph = chain(MOST_NODES)
    more = links - MOST_NODES + 1
    graph[str(MOST_NODES - 1)]["inputs"] |= {f"more{n}": ["0", n] for n in range(more)}
    return graph


def test_as_many_links_as_are_drawn_take_no_time_and_more_are_told_to_be_too_many() -> None:
    began = time.process_time()
    svg = drawn(fed(MOST_LINKS), label="x")
    assert svg is not None and len(svg) < 1_000_000 and sketched(fed(MOST_LINKS)) is not None
    assert time.process_time() - began < 2
    most = fed(MOST_LINKS + 1)
    assert drawn(most, label="x") is None and sketched(most) is None
    told = told_nodes(most)
    assert sum(len(each.sources) for each in told) == MOST_LINKS and sum(each.more for each in told) == 1


def test_a_sketch_is_made_once_for_all_who_look() -> None:
    first = sketched(chain(7))
    assert first is sketched(chain(7)) and first != sketched(chain(8))


def test_words_tell_where_everything_comes_from() -> None:
    told = told_nodes(chain(2))
    assert told[0].sources == () and told[1].sources == (("image", "Blur", "0"),)


ENDS = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9), st.integers(0, 3))


@unhurried
@given(st.integers(0, 10), st.lists(ENDS, max_size=40))
def test_any_graph_can_be_laid_out_also_one_that_goes_in_a_circle(count: int, ends: list[Any]) -> None:
    heights = {str(node): 40.0 for node in range(count)}
    placed = laid_out(heights, [Link(str(a), out, str(b), into) for a, out, b, into in ends])
    assert placed.nodes.keys() == heights.keys()
    assert all(0 <= x <= placed.width and 0 <= y <= placed.height for x, y in placed.nodes.values())
    assert len(placed.ways) == sum(a < count and b < count for a, _, b, _ in ends)
