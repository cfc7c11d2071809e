"""Rules that an answer should keep, such as `contains:lighthouse`, `max-words:50` or `json`, and whether it does.

Owns the rules and their text form. What may never end, a regular expression or a JSON Schema, is killed when it takes
too long (`matching`, `schemas`). For `run`, the command line and the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from llm_bridge.compare.results import Checked
from llm_bridge.compare.words import count_words
from llm_bridge.errors import BadInput, NotInstalled
from llm_bridge.matching import DEADLINE, matched
from llm_bridge.schemas import problems, verify_short

__all__ = ["KINDS", "Rule", "check", "parse_rules"]

MOST_PATTERN = 2_000
MOST_ANSWER = 1_000_000


def _contains(part: str, answer: str) -> bool:
    return part in answer


def _icontains(part: str, answer: str) -> bool:
    return part.casefold() in answer.casefold()


_TEXTS: Mapping[str, tuple[Callable[[str, str], bool], str]] = {
    "contains": (_contains, "It is not there."),
    "icontains": (_icontains, "It is not there."),
    "not-contains": (lambda part, answer: not _contains(part, answer), "It is there."),
    "not-icontains": (lambda part, answer: not _icontains(part, answer), "It is there."),
    "equals": (lambda text, answer: answer.strip() == text, "It is another text."),
    "starts": (lambda text, answer: answer.lstrip().startswith(text), "It starts otherwise."),
    "ends": (lambda text, answer: answer.rstrip().endswith(text), "It ends otherwise."),
}
_COUNTS: Mapping[str, Callable[[str], int]] = {"chars": len, "words": count_words}
_LENGTHS = tuple(f"{end}-{what}" for what in _COUNTS for end in ("min", "max"))
_PATTERNS = ("regex", "not-regex")

KINDS = (*_TEXTS, *_PATTERNS, *_LENGTHS, "json")
"""`json` alone asks for JSON, with a value for JSON that fits this JSON Schema; every other kind needs a value."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; as text it is `kind:value`. The i of `icontains` stands for: upper and lower case are the same.

    Raises: BadInput for a kind or value that makes no sense; NotInstalled for a JSON Schema without jsonschema.
    """

    kind: str
    value: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"There is no check {self.kind!r}.", hint=f"Use one of {', '.join(KINDS)}.")
        if not self.value and self.kind != "json":
            _refuse(self.kind, "needs a value", f"Write it as {self.kind}:VALUE.")
        if self.kind in _LENGTHS and not (self.value.isascii() and self.value.isdigit() and len(self.value) < 10):
            _refuse(self.kind, "needs a whole number", f"Write it as {self.kind}:50.")
        if self.kind in _PATTERNS:
            _verify_pattern(self.kind, self.value)
        if self.kind == "json" and self.value:
            _verify_schema(self.value)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """From `kind:value`. Spaces around the value do not count, except in a regular expression."""
        kind, _, value = text.partition(":")
        kind = kind.strip()
        return cls(kind, value if kind in _PATTERNS else value.strip())

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind


def parse_rules(lines: Sequence[str]) -> tuple[Rule, ...]:
    """A rule for each line; empty lines and those that begin with # are none. Raises: BadInput, with the line."""
    rules: list[Rule] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                rules.append(Rule.parse(line.rstrip("\r\n")))
            except NotInstalled:
                raise
            except BadInput as error:
                raise BadInput(f"Check {number}: {error.message}", hint=error.hint) from None
    return tuple(rules)


async def check(rules: Sequence[Rule], answer: str, *, deadline: float = DEADLINE) -> tuple[Checked, ...]:
    """What each rule says of the answer. ``deadline`` is seconds for each rule that runs in a process."""
    return tuple(
        [Checked(str(rule), not told, told) for rule in rules for told in [await _wrong(rule, answer, deadline)]]
    )


async def _wrong(rule: Rule, answer: str, deadline: float) -> str:
    """What the answer lacks; empty when it keeps the rule."""
    if rule.kind in _TEXTS:
        holds, otherwise = _TEXTS[rule.kind]
        return "" if holds(rule.value, answer) else otherwise
    if rule.kind in _LENGTHS:
        return _wrong_length(rule, answer)
    if rule.kind == "json" and ((told := _no_json(answer)) or not rule.value):
        return told
    if len(answer) > MOST_ANSWER:
        return f"The answer is longer than {MOST_ANSWER} characters."
    try:
        if rule.kind == "json":
            found = await problems(json.loads(rule.value), json.loads(answer), deadline=deadline)
        else:
            found = await matched(rule.kind, rule.value, answer, deadline)
    except NotInstalled:
        raise
    except BadInput as failure:
        return failure.message
    return found[0] if found else ""


def _wrong_length(rule: Rule, answer: str) -> str:
    end, _, what = rule.kind.partition("-")
    length, bound = _COUNTS[what](answer), int(rule.value)
    kept = length >= bound if end == "min" else length <= bound
    return "" if kept else f"It has {length}."


def _no_json(answer: str) -> str:
    try:
        json.loads(answer, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return f"No JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    except (ValueError, RecursionError):
        return "No JSON that can be read."
    return ""


def _no_constant(name: str) -> NoReturn:
    """Python would take NaN and Infinity."""
    raise ValueError(name)


def _verify_pattern(kind: str, pattern: str) -> None:
    if len(pattern) > MOST_PATTERN:
        _refuse(kind, "has too long a pattern", f"Use at most {MOST_PATTERN} characters.")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        _refuse(kind, f"has a pattern that is no regular expression: {error}", "Mend the pattern.")


def _verify_schema(text: str) -> None:
    try:
        schema: Any = json.loads(text)
    except (ValueError, RecursionError):
        _refuse("json", "has a schema that is no JSON", 'Write it as json:{"type": "object"}.')
    if not isinstance(schema, dict):
        _refuse("json", "has a schema that is no object", 'Write it as json:{"type": "object"}.')
    verify_short(cast("dict[str, Any]", schema))


def _refuse(kind: str, why: str, hint: str) -> NoReturn:
    raise BadInput(f"The check {kind!r} {why}.", hint=hint)
