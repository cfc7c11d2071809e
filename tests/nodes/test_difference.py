"""Text Diff: the marks and what they escape, how much is the same, and what the page is told."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_nodes.marking import kept, marked
from comfy_nodes.nodes.difference import TextDiff
from comfy_nodes.thread import handed_over
from llm_bridge.compare import word_diff
from tests.nodes.calling import Page, Stopped


def told(left: str, right: str) -> tuple[str, float]:
    found = word_diff(left, right)
    return marked(found), kept(found)


def test_what_was_removed_is_struck_out_and_what_was_added_is_bold() -> None:
    assert told("The old sea is grey", "The sea is deep and grey") == (
        "The ~~old~~ sea is **deep and** grey",
        pytest.approx(8 / 11),
    )


def test_what_was_changed_is_struck_out_first() -> None:
    assert told("a grey sea", "a blue sea")[0] == "a ~~grey~~ **blue** sea"


def test_chinese_and_japanese_differ_by_character() -> None:
    assert told("我喜欢猫", "我喜欢狗") == ("我喜欢~~猫~~**狗**", pytest.approx(3 / 4))
    assert told("海は青い", "空は青い")[0] == "~~海~~**空**は青い"


def test_marks_stay_inside_lines_and_paragraphs_stay() -> None:
    assert told("One.\n\nTwo.", "One.\n\nThree words\n\n  here.")[0] == ("One.\n\n~~Two~~**Three words**\n\n **here**.")


def test_what_the_texts_say_is_no_markup() -> None:
    assert told("*a* <b>", "*a* ~~c~~ <b>")[0] == r"\*a\* **\~\~c\~\~** \<b\>"
    assert told("# one", "# one")[0] == r"\# one"
    assert told("- one\n2. two", "- one\n2. two")[0] == "\\- one\n2\\. two"
    assert told("a\\. b", "a\\. c")[0] == "a\\\\. ~~b~~**c**"


def test_equal_texts_are_the_same_and_different_ones_share_nothing() -> None:
    assert told("a b c", "a b c") == ("a b c", 1.0)
    assert told("a b c", "x y") == ("~~a b c~~**x y**", 0.0)
    assert told("", "") == ("", 1.0)
    assert told("", "new") == ("**new**", 0.0)
    assert told("a  b\n", "a b")[1] == 1.0


@given(st.text(alphabet="ab .\n*~猫", max_size=30), st.text(alphabet="ab .\n*~猫", max_size=30))
def test_every_word_of_both_texts_is_there_and_the_share_is_a_share(left: str, right: str) -> None:
    text, same = told(left, right)
    assert 0 <= same <= 1
    signs = "".join(re.sub(r"\\(.)", r"\1", text).split())
    assert all(signs.count(letter) >= (left + right).count(letter) / 2 for letter in "ab猫")
    assert (same == 1) >= (left == right)


async def test_the_node_tells_the_page_the_pieces() -> None:
    answer = await TextDiff().compare(left="a grey sea", right="a blue sea")
    assert answer["result"] == ("a ~~grey~~ **blue** sea", pytest.approx(2 / 3))
    assert answer["ui"] == {
        "diff": [
            [
                {"op": "same", "left": "a ", "right": "a "},
                {"op": "changed", "left": "grey ", "right": "blue "},
                {"op": "same", "left": "sea", "right": "sea"},
            ]
        ]
    }


async def test_long_texts_hold_up_nobody_and_an_interrupted_graph_ends_at_once(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(left: str, right: str) -> Any:
        started.set()
        assert go_on.wait(30)
        return word_diff(left, right)

    monkeypatch.setattr("comfy_nodes.nodes.difference.word_diff", slow)
    call = asyncio.create_task(TextDiff().compare(left="a", right="b", unique_id="7"))
    try:
        assert await asyncio.to_thread(started.wait, 30)
        page.interrupt()
        with pytest.raises(Stopped):
            await asyncio.wait_for(call, 10)
    finally:
        go_on.set()


async def test_everything_is_compared_in_one_thread_that_is_not_the_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    # What another test gave up may still be compared there: so by name, not by number.
    threads: dict[str, set[int]] = {}
    for name, whole in (("word_diff", word_diff), ("marked", marked), ("kept", kept)):

        def noted(*told: Any, name: str = name, whole: Any = whole) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return whole(*told)

        monkeypatch.setattr(f"comfy_nodes.nodes.difference.{name}", noted)
    await TextDiff().compare(left="a grey sea", right="a blue sea")
    assert set(threads) == {"word_diff", "marked", "kept"}
    (thread,) = {thread for seen in threads.values() for thread in seen}
    assert thread not in {threading.get_ident(), await handed_over(_thread())}


async def _thread() -> int:
    return threading.get_ident()


async def test_a_list_of_texts_is_compared_item_by_item() -> None:
    node = TextDiff()
    pairs = [(f"word {number}", "word 3") for number in range(20)]
    found = await asyncio.gather(*(node.compare(left=left, right=right) for left, right in pairs))
    assert [answer["result"][1] == 1 for answer in found] == [number == 3 for number in range(20)]
