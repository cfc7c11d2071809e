"""Each rule by example, its text form, and that a pattern that never ends is ended."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from llm_bridge.compare.checks import KINDS, Rule, check, parse_rules
from llm_bridge.errors import BadInput, NotInstalled
from tests.children import children

EVIL = r"regex:^(a+)+$"


async def told(rule: str, answer: str) -> str:
    """What the rule says is wrong; empty when it passes."""
    (checked,) = await check([Rule.parse(rule)], answer)
    assert checked.passed == (not checked.told)
    assert checked.rule == str(Rule.parse(rule))
    return checked.told


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("contains:Light: house", "A Light: house.", "a light: house"),
        ("icontains:STRASSE", "Die Straße.", "Der Weg."),
        ("not-contains:sorry", "Sorry!", "I am sorry."),
        ("not-icontains:sorry", "Fine.", "Sorry!"),
        ("equals:42", " 42\n", "42."),
        ("starts:Dear", "\nDear Sir", "My Dear"),
        ("ends:.", "Done. ", "Done"),
        (r"regex:^\d+$", "123", "12a"),
        (r"not-regex:(?i)as a machine", "I think", "As a Machine"),
        ("min-chars:3", "abc", "ab"),
        ("max-chars:3", "abc", "abcd"),
        ("min-words:3", "one two — three", "one — two"),
        ("max-words: 4", "你好世界。", "你好世界呀"),
        ("json", ' {"a": [1, null]} ', '```json\n{"a": 1}\n```'),
        ("json", "1", "NaN"),
        ("json", "[]", "[" * 100_000),
        ("json", "1", "1" * 5000),
        ('json:{"required": ["a"]}', '{"a": 1}', '{"b": 1}'),
        ('json:{"type": "string", "pattern": "^x"}', '"xy"', '"yx"'),
        ('json:{"type": "string"}', '"x"', "x"),
    ],
)
async def test_what_a_rule_takes_and_what_not(rule: str, good: str, bad: str) -> None:
    assert await told(rule, good) == ""
    assert await told(rule, bad) != ""


async def test_the_result_tells_what_is_wrong() -> None:
    assert await told("max-words:2", "one two three") == "It has 3."
    assert await told("json", "{x}") == (
        "No JSON: Expecting property name enclosed in double quotes at line 1, column 2."
    )
    assert await told("not-regex:o+", "foo") == "'oo' matches."
    assert "'a' is a required property" in await told('json:{"required": ["a"]}', "{}")
    assert (await told('json:{"items": {"type": "integer"}}', '[1, "x"]')).startswith("$[1]: ")


async def test_rules_are_told_in_their_order() -> None:
    rules = parse_rules(["contains:a", "regex:b", "json"])
    assert [checked.rule for checked in await check(rules, "a")] == ["contains:a", "regex:b", "json"]


async def test_a_pattern_that_never_ends_is_ended_and_fails() -> None:
    start, before = time.monotonic(), children()
    (checked,) = await check([Rule.parse(EVIL)], "a" * 40 + "b", deadline=0.5)
    assert (checked.passed, checked.told) == (False, "The check took longer than 0.5 seconds.")
    assert time.monotonic() - start < 5
    assert children() <= before


async def test_the_loop_goes_on_while_a_pattern_runs_and_cancelling_ends_its_process() -> None:
    before = children()
    checking = asyncio.create_task(check([Rule.parse(EVIL)], "a" * 40 + "b", deadline=60))
    async with asyncio.timeout(10):
        while children() <= before:
            await asyncio.sleep(0.01)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    assert children() <= before


async def test_a_schema_that_never_ends_is_ended() -> None:
    (checked,) = await check([Rule.parse('json:{"pattern": "^(a+)+$"}')], f'"{"a" * 40}b"', deadline=1.5)
    assert checked.told == "The check took longer than 1.5 seconds."


async def test_a_schema_fetches_nothing() -> None:
    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    asked: list[bytes] = []
    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        elsewhere = f'"$ref": "http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"'
        with pytest.raises(BadInput, match="nothing at"):
            Rule.parse(f"json:{{{elsewhere}}}")
        long = f'json:{{{elsewhere}, "description": "{"x" * 5000}"}}'
        assert await told(long, "1") == "The check could not be done."
    assert asked == []


async def test_too_long_an_answer_is_not_matched() -> None:
    assert "longer than" in await told("regex:a", "a" * 1_000_001)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There is no check ''"),
        ("shorter:5", "There is no check 'shorter'"),
        ("contains", "needs a value"),
        ("contains: ", "needs a value"),
        ("max-words:many", "needs a whole number"),
        ("max-words:-1", "needs a whole number"),
        ("max-words:٣", "needs a whole number"),
        ("regex:(", "no regular expression"),
        ("regex:" + "a" * 2001, "too long"),
        ("json:{", "no JSON"),
        ("json:[]", "no object"),
        ('json:{"type": "thing"}', "no JSON Schema"),
        ('json:{"$schema": []}', "no JSON Schema"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        Rule.parse(text)
    assert says in refused.value.message
    assert refused.value.hint


def test_rules_as_lines_leave_out_comments_and_name_the_line() -> None:
    assert parse_rules(["# mine", "", "json", " max-words : 5 ", "regex: a \n"]) == (
        Rule("json"),
        Rule("max-words", "5"),
        Rule("regex", " a "),
    )
    with pytest.raises(BadInput, match="Check 2: There is no check 'x'"):
        parse_rules(["json", "x"])


def test_every_kind_has_a_text_form_that_is_read_again() -> None:
    for kind in KINDS:
        rule = Rule(kind, "{}" if kind == "json" else "5")
        assert Rule.parse(str(rule)) == rule


def test_a_schema_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(NotInstalled, match="pip install jsonschema"):
        parse_rules(["json:{}"])
    assert Rule.parse("json")
