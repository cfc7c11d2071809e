"""JSON Schemas that come from callers: whether one is a schema, and what of a value it does not allow.

Owns what may be checked on the event loop: whatever could take long runs in a process (`matching`). Nothing that a
schema refers to is fetched. Needs `jsonschema`. Used for structured answers and by the checks of comparisons.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from llm_bridge import matching
from llm_bridge.errors import BadInput, NotInstalled
from llm_bridge.matching import program

__all__ = ["problems", "verify", "verify_short"]

_SLOW = {
    *program.REFERENCES,
    "pattern",
    "patternProperties",
    "uniqueItems",
    "unevaluatedItems",
    "unevaluatedProperties",
}
"""What can take far longer than the schema and the value are long: it backtracks, compares all with all or recurs."""

_SHORT = 4_000
"""Letters of a schema that is looked at on the event loop; even made for it, one takes no half second."""

_FEW_STEPS = 1_000_000
"""Letters of the schema times letters of the value that are checked on the event loop."""


async def verify(schema: Mapping[str, Any]) -> None:
    """See that it is a JSON Schema that refers to nothing outside.

    Raises: BadInput when it is not; NotInstalled.
    """
    plain, letters = _plain(schema)
    _refuse(program.flaws(plain) if letters <= _SHORT else await matching.matched("verify", plain))


def verify_short(schema: Mapping[str, Any]) -> None:
    """The same where nothing can be awaited; whether a long schema is one shows when it is used. Raises as `verify`."""
    plain, letters = _plain(schema)
    if letters <= _SHORT:
        _refuse(program.flaws(plain))


async def problems(schema: Mapping[str, Any], value: Any, *, deadline: float = matching.DEADLINE) -> list[str]:
    """The first things that the schema does not allow, in words; empty when the value fits.

    Raises: BadInput when it takes longer than ``deadline`` seconds, has no end or is no schema; NotInstalled.
    """
    plain, letters = _plain(schema)
    try:
        slow = letters > _SHORT or any(name in _SLOW for name, _ in program.keywords(plain))
        if slow or letters * len(json.dumps(value)) > _FEW_STEPS:
            return await matching.matched("schema", plain, value, deadline)
        return program.problems(plain, value)
    except RecursionError:
        return ["$: It is nested too deep."]


def _plain(schema: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """As JSON has it, and how many letters that are."""
    try:
        importlib.import_module("jsonschema")
        text = json.dumps(dict(schema))
    except ImportError:
        raise NotInstalled("Answers cannot be checked against a schema.", hint="pip install jsonschema") from None
    except (TypeError, ValueError, RecursionError):
        raise BadInput("The schema is too deep, or holds what JSON cannot.", hint="Mend it.") from None
    return json.loads(text), len(text)


def _refuse(flaws: list[str]) -> None:
    if flaws:
        raise BadInput(flaws[0], hint="Mend it.")
