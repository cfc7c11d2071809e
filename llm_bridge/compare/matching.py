"""What may never end: a regular expression, a JSON Schema. Run as a program, so that its process can be killed.

Python's `re` cannot be interrupted and keeps every other thread waiting, so neither a thread nor a timer would help.
Reads one JSON object on stdin, {"kind", "value", "answer"}, and writes what is wrong as one JSON text, "" for nothing.
Stands alone: only `checks` starts it, and it imports nothing of the bridge.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

__all__ = ["wrong"]


def wrong(kind: str, value: str, answer: str) -> str:
    """What is wrong with the answer; ``kind`` is regex, not-regex or json. Empty when nothing is."""
    if kind == "json":
        return _schema(json.loads(value), json.loads(answer))
    found = re.search(value, answer)
    if kind == "not-regex":
        return f"{_short(repr(found.group()))} matches." if found else ""
    return "" if found else "Nothing matches."


def _schema(schema: Any, answer: Any) -> str:
    import referencing
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    # A registry of its own, as the default one would fetch what a schema refers to from the network.
    validator = validator_for(schema, Draft202012Validator)(schema, registry=referencing.Registry())
    for error in validator.iter_errors(answer):
        place = "/".join(str(step) for step in error.absolute_path)
        return f"{place}: {_short(error.message)}" if place else _short(error.message)
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def _main() -> None:
    asked = json.load(sys.stdin)
    json.dump(wrong(asked["kind"], asked["value"], asked["answer"]), sys.stdout)


if __name__ == "__main__":
    _main()
