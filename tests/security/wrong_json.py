"""JSON that is none, and JSON whose values are of the wrong kind, for every endpoint that takes some."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tests.security.bodies import BODIES
from tests.security.wire import Vector

__all__ = ["VALUES", "as_json", "fields_of", "with_value", "wrong_json", "wrong_values"]

_JSON = {
    "nothing": b"",
    "spaces": b"  \n ",
    "NUL": b"\0",
    "text": b"hello",
    "a number": b"1",
    "a string": b'"a"',
    "null": b"null",
    "true": b"true",
    "a list": b"[]",
    "a list of objects": b"[{}]",
    "cut off": b'{"prompt": "a',
    "comma too many": b'{"prompt": "a",}',
    "single quotes": b"{'prompt': 'a'}",
    "comment": b'{"prompt": /* a */ "a"}',
    "two objects": b"{}{}",
    "tail": b'{"prompt": "a"} x',
    "NaN": b'{"prompt": "a", "seed": NaN}',
    "Infinity": b'{"prompt": "a", "seed": Infinity}',
    "minus Infinity": b'{"prompt": "a", "seed": -Infinity}',
    "a number beyond floats": b'{"prompt": "a", "seed": 1e400}',
    "a number of 5000 digits": b'{"prompt": "a", "seed": ' + b"9" * 5_000 + b"}",
    "a fraction of 5000 digits": b'{"prompt": "a", "seed": ' + b"9" * 5_000 + b".5}",
    "a leading zero": b'{"prompt": "a", "seed": 01}',
    "hex": b'{"prompt": "a", "seed": 0x10}',
    "half a character": b'{"prompt": "\\ud800"}',
    "the other half": b'{"prompt": "\\udc00\\ud800"}',
    "half a character as key": b'{"\\ud800": 1}',
    "half a character in bytes": b'{"prompt": "\xed\xa0\x80"}',
    "a key twice": b'{"prompt": "a", "prompt": "b"}',
    "a key twice inside": b'{"prompt": "a", "values": {"a": 1, "a": 2}}',
    "a byte order mark": b'\xef\xbb\xbf{"prompt": "a"}',
    "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"prompt": "a"}'.encode("utf-16-le"),
    "UTF-32": '{"prompt": "a"}'.encode("utf-32"),
    "Latin-1": '{"prompt": "é"}'.encode("latin-1"),
    "broken UTF-8": b'{"prompt": "\xff\xfe"}',
    "overlong UTF-8": b'{"prompt": "\xc0\xaf"}',
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "100 000 lists": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100 000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "lists never closed": b"[" * 100_000,
    "a raw line break": b'{"prompt": "a\nb"}',
    "a raw NUL": b'{"prompt": "a\0b"}',
    "MessagePack": b"\x81\xa6prompt\xa1a",
    "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "a form": b"prompt=a&steps=1",
}
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "a number": 7,
    "minus one": -1,
    "a huge number": 2**70,
    "a float": 1.5,
    "a huge float": 1e308,
    "empty text": "",
    "text": "x",
    "long text": "x" * 120_000,
    "NUL": "a\0b",
    "controls": "\x1b[2J\r\nX: y",
    "a path": "../../../../etc/passwd",
    "an address": "http://169.254.169.254/latest/meta-data/",
    "a list": [],
    "nested lists": [[[[1]]]],
    "a list of nulls": [None, None],
    "an object": {},
    "a strange object": {"__class__": "os.system", "$ref": "file:///etc/passwd", "": None},
    "a link of a graph": ["1", 0],
}
_FEW = ("null", "minus one", "a huge number", "long text", "NUL", "nested lists", "a strange object")
"""For the corpus; fuzzing takes all."""


def fields_of(body: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value inside."""
    named: Any = (
        cast("dict[str, Any]", body).items()
        if isinstance(body, dict)
        else enumerate(cast("list[Any]", body) if isinstance(body, list) else [])
    )
    for name, inner in named:
        yield (*before, name)
        yield from fields_of(inner, (*before, name))


def with_value(body: Mapping[str, Any], way: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy of the body with another value there."""
    changed: Any = copy.deepcopy(body)
    inner = changed
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    return changed


def as_json(name: str, endpoint: str, body: bytes, *, refused: bool) -> Vector:
    method, path = endpoint.split(" ", 1)
    headers = {"Content-Type": "application/json"}
    if path == "/mcp":
        headers["Accept"] = "application/json, text/event-stream"
    return Vector(f"{endpoint}: {name}", method, path, body, headers, refused)


def wrong_json() -> Iterator[Vector]:
    for endpoint in BODIES:
        for name, body in _JSON.items():
            # A list was a batch of calls in an earlier revision of MCP.
            yield as_json(f"{name} instead of JSON", endpoint, body, refused=True)


def wrong_values() -> Iterator[Vector]:
    for endpoint, body in BODIES.items():
        for way in fields_of(body):
            for name in _FEW:
                told = json.dumps(with_value(body, way, VALUES[name])).encode()
                where = ".".join(map(str, way))
                yield as_json(f"{name} as {where}", endpoint, told, refused=False)
