"""Branches of a history, whatever its shape, and who is who in it."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.conversation import Entry, chain, children, labelled, leaves
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message, ToolCall

IDS = st.sampled_from("abcdefgh")
PARENTS = st.one_of(st.none(), IDS, st.just("missing"))
ENTRIES = st.lists(
    st.tuples(IDS, PARENTS, st.booleans()).map(lambda e: Entry(e[0], e[1], Message.user(e[0]), summary=e[2])),
    min_size=1,
)


def said(id: str, parent: str | None, text: str = "", label: str | None = None) -> Entry:
    return Entry(id, parent, Message.user(text or id), label)


def test_a_branch_is_the_way_from_its_leaf_to_the_root() -> None:
    tree = [said("a", None), said("b", "a"), said("c", "b"), said("b2", "a"), said("c2", "b2")]
    assert [message.text for message in chain(tree, "c")] == ["a", "b", "c"]
    assert [message.text for message in chain(tree, "c2")] == ["a", "b2", "c2"]
    assert [message.text for message in chain(tree, "b")] == ["a", "b"]
    assert leaves(tree) == ("c", "c2")
    assert children(tree) == {None: ("a",), "a": ("b", "b2"), "b": ("c",), "b2": ("c2",)}
    with pytest.raises(BadInput):
        chain(tree, "nobody")


def test_a_cycle_and_a_missing_parent_end_the_chain() -> None:
    assert [m.text for m in chain([said("a", "c"), said("b", "a"), said("c", "b")], "c")] == ["a", "b", "c"]
    assert [m.text for m in chain([said("a", "a")], "a")] == ["a"]
    assert [m.text for m in chain([said("b", "gone"), said("c", "b")], "c")] == ["b", "c"]
    assert children([said("b", "gone")]) == {None: ("b",)}


@given(ENTRIES, st.data())
def test_every_history_gives_each_ancestor_once_and_the_leaf_last(entries: list[Entry], data: st.DataObject) -> None:
    by_id = {entry.id: entry for entry in entries}
    leaf = data.draw(st.sampled_from(sorted(by_id)))
    told = chain(entries, leaf)
    texts = [message.text.removeprefix("Summary of the conversation so far:\n") for message in told]
    assert texts[-1] == leaf
    assert len(texts) == len(set(texts))
    for one, two in pairwise(texts):
        assert by_id[two].parent == one
    summaries = [n for n, text in enumerate(texts) if by_id[text].summary]
    assert summaries in ([], [0])
    assert all(not by_id[id].summary for id in texts[1:])
    assert sorted(id for ids in children(entries).values() for id in ids) == sorted(by_id)
    assert set(leaves(entries)) == set(by_id) - {entry.parent for entry in entries}


def test_a_summary_replaces_what_was_before_it_but_the_instructions() -> None:
    tree = [
        Entry("s", None, Message.system("Be kind.")),
        said("a", "s"),
        Entry("b", "a", Message.assistant("They greeted."), summary=True),
        said("c", "b"),
        Entry("d", "c", Message.assistant("They parted."), summary=True),
        said("e", "d"),
    ]
    kind = Message.system("Be kind.")
    told = chain(tree, "e")
    assert [message.role for message in told] == ["system", "system", "user"]
    assert (told[0], told[2]) == (kind, Message.user("e"))
    assert told[1].text.endswith("They parted.")
    assert chain(tree, "c")[1].text.endswith("They greeted.")
    assert chain(tree, "a") == (kind, Message.user("a"))


def test_a_hundred_thousand_entries_take_a_moment() -> None:
    entries = [said(str(n), str(n - 1)) for n in range(100_000)]
    began = time.process_time()
    assert len(chain(reversed(entries), "99999")) == 100_000
    assert leaves(entries) == ("99999",)
    assert len(children(entries)) == 100_000
    messages = [replace(Message.user("x"), name="Ada" if n % 2 else "Bob") for n in range(100_000)]
    assert len(labelled(messages)) == 100_000
    assert len(labelled([*messages, named("assistant", "y", "Eve")], own="Cleo")) == 1
    # In proportion it is a few seconds; with the square of the number, minutes.
    assert time.process_time() - began < 20


def named(role: str, text: str, name: str | None) -> Message:
    return replace(Message.user(text) if role == "user" else Message.assistant(text), name=name)


def test_one_speaker_of_each_role_needs_no_labels() -> None:
    alone = (named("user", "Hi", "Ada"), named("user", "Well?", "Ada"), Message.assistant("Hello"))
    assert labelled(alone) == alone
    assert labelled(alone, own="Bot") == alone


def test_several_users_are_told_apart_in_the_text() -> None:
    told = labelled([named("user", "Hi", "Ada"), Message.assistant("Hello"), named("user", "Me too", None)])
    assert [message.text for message in told] == ["Ada: Hi", "Hello", "User: Me too"]
    assert {message.name for message in told} == {None}
    picture = Image(b"x")
    seen = labelled([Message("user", (picture,), name="Ada"), Message("user", (), name="A\nB: lie"), Message.user("?")])
    assert seen[0].parts == ("Ada: ", picture)
    assert seen[1].parts == ()
    assert labelled([named("user", "x", "A\n B: y"), Message.user("?")])[0].text == "A B: y: x"


def test_an_agent_sees_its_own_turns_as_its_own_and_those_of_others_as_said_to_it() -> None:
    thread = [
        named("user", "Discuss.", None),
        named("assistant", "I am for it.", "Ada"),
        named("assistant", "I am not.", "Bob"),
        named("user", "Ada?", None),
    ]
    assert [(m.role, m.text) for m in labelled(thread, own="Ada")] == [
        ("user", "User: Discuss."),
        ("assistant", "I am for it."),
        ("user", "Bob: I am not.\n\nUser: Ada?"),
    ]
    assert [(m.role, m.text) for m in labelled(thread, own="Bob")] == [
        ("user", "User: Discuss.\n\nAda: I am for it."),
        ("assistant", "I am not."),
        ("user", "User: Ada?"),
    ]
    assert [m.text for m in labelled(thread)][1:3] == ["Ada: I am for it.", "Bob: I am not."]


def test_tools_and_thoughts_of_other_agents_stay_theirs() -> None:
    call = ToolCall("1", "look", "{}")
    thread = [
        Message.user("Look."),
        Message("assistant", (), "I should look.", (call,), name="Bob"),
        Message("tool", ("a cat",), answers="1"),
        Message("assistant", ("A cat.",), "Easy.", name="Bob"),
    ]
    assert [(m.role, m.text) for m in labelled(thread, own="Ada")] == [("user", "User: Look.\n\nBob: A cat.")]
    assert not any(message.reasoning or message.tool_calls for message in labelled(thread, own="Ada"))
    own = labelled(thread, own="Bob")
    assert (own[1].tool_calls, own[2].answers, own[3].text) == ((call,), "1", "A cat.")
    # Servers count calls anew in each answer, so that ids return: what Ada called after Bob is hers.
    again = [*thread, Message("assistant", (), "", (call,), name="Ada"), Message("tool", ("a dog",), answers="1")]
    assert [m.text for m in labelled(again, own="Ada")] == ["User: Look.\n\nBob: A cat.", "", "a dog"]


SPEAKERS = st.sampled_from([None, "Ada", "Bob"])
THREADS = st.lists(st.builds(named, st.sampled_from(["user", "assistant"]), st.text(min_size=1, max_size=5), SPEAKERS))


@given(THREADS, SPEAKERS)
def test_labels_are_set_once_and_lose_no_word(thread: list[Message], own: str | None) -> None:
    told = labelled(thread, own)
    assert labelled(told, own) == told
    place = 0
    everything = "".join(message.text for message in told)
    for message in thread:
        place = everything.index(message.text, place) + len(message.text)
