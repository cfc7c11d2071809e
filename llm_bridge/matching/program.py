"""What an answer lacks by a regular expression or a JSON Schema, and a schema to be one; and JSON with slips, mended.

A program, so that its process can be killed; `schemas` also calls what cannot take long.

Reads one JSON object on stdin. {"kind", "rule", "answer"} is a check: it writes what is wrong as a JSON list of texts.
{"kind": "mend", "answer"} is a text: it writes the JSON that was probably meant.
Stands alone: it imports nothing of the bridge.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

__all__ = ["REFERENCES", "flaws", "keywords", "problems", "wrong"]

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

_MOST = 3


def wrong(kind: str, rule: Any, answer: Any) -> list[str]:
    """What is wrong with the answer; ``kind`` is regex, not-regex, schema or verify."""
    if kind == "verify":
        return flaws(rule)
    if kind == "schema":
        return problems(rule, answer)
    found = re.search(str(rule), str(answer))
    if kind == "not-regex":
        return [f"{_short(repr(found.group()))} matches."] if found else []
    return [] if found else ["Nothing matches."]


def problems(schema: Any, value: Any) -> list[str]:
    """The first things that the schema, which is one, does not allow."""
    from referencing.jsonschema import EMPTY_REGISTRY

    # A registry of its own, as the default one would fetch what a schema refers to from the network.
    validator = _validator(schema)(schema, registry=EMPTY_REGISTRY)
    return [f"{each.json_path}: {_short(each.message)}" for each in islice(validator.iter_errors(value), _MOST)]


def flaws(schema: Any) -> list[str]:
    """Why it is no JSON Schema, or refers to what it does not hold; empty when it is one."""
    from jsonschema import SchemaError
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import EMPTY_REGISTRY, specification_with

    kind = _validator(schema)
    try:
        kind.check_schema(schema)
        whole = specification_with(kind.META_SCHEMA["$schema"]).create_resource(schema)
        resolver = EMPTY_REGISTRY.resolver_with_root(whole)
        for name, target in keywords(schema):
            if name in REFERENCES and isinstance(target, str):
                resolver.lookup(target)
    except SchemaError as failure:
        return [f"The schema is no JSON Schema: {_short(failure.message)}."]
    except RecursionError:
        return ["The schema is no JSON Schema: it is too deep."]
    except Unresolvable as failure:
        return [f"The schema has nothing at {_short(repr(failure.ref))}."]
    return []


def keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Everything in a schema that has a name, at any depth."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            named = cast("dict[str, Any]", part)
            yield from named.items()
            left += named.values()
        elif isinstance(part, list):
            left += cast("list[Any]", part)


def _validator(schema: Any) -> Any:
    """The class for the edition of the schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for({"$schema": str(schema.get("$schema", ""))}, Draft202012Validator)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def _mended(text: str) -> Any:
    from json_repair import loads

    return loads(text)


def _main() -> None:
    asked = json.load(sys.stdin)
    mends = asked["kind"] == "mend"
    told = _mended(asked["answer"]) if mends else wrong(asked["kind"], asked["rule"], asked["answer"])
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    _main()
