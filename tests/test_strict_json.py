"""What the JSON gate lets through, and what it refuses by name."""

from __future__ import annotations

import json
import time

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import BadRequest, TooLarge
from comfy_mcp.strict_json import read_body, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_say_comes_back(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"cfg": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e400]", "too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'["\\ud800"]', "half of a character"),
        (b'{"\\udfff": 1}', "half of a character"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b'"\xc3"', "UTF-8"),
        (b"[" * 100 + b"]" * 100, "64 levels"),
        (b"[" * 100_000, "64 levels"),
        (b'{"a": ' * 100 + b"1" + b"}" * 100, "64 levels"),
        (b"[" + b"9" * 401 + b"]", "digits"),
        (b"[" + b"9" * 5001 + b"]", "digits"),
        (b"", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
    ids=lambda value: repr(value[:16]) if isinstance(value, bytes) else "",
)
def test_what_two_readers_could_understand_differently_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        read_json(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_json(body)
    except BadRequest as failure:
        assert failure.hint


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 10_500_000 + b"[]]",
        b"[" + b'{"a":1},' * 3_000_000 + b"1]",
        b"[" + b"1," * 200_000 + b"1]",
        b'{"a":' + b"[1,2]" * 200_000,
    ],
    ids=["lists", "objects", "numbers", "no JSON"],
)
def test_more_values_than_anybody_means_are_refused_before_they_are_made(body: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(TooLarge, match="200000 values"):
        read_json(body)
    assert time.monotonic() - began < 1


def test_a_large_picture_inside_is_few_values() -> None:
    assert len(read_json(b'{"image": "data:image/png;base64,' + b"abc/" * 2**21 + b'", "steps": 4}')["image"]) > 2**23


def test_a_long_text_beyond_ascii_is_read_quickly() -> None:
    body = json.dumps("ü" * 5_000_000, ensure_ascii=False).encode()
    began = time.monotonic()
    assert len(read_json(body)) == 5_000_000
    assert time.monotonic() - began < 0.5


async def test_while_a_large_body_is_read_others_are_served() -> None:
    body = json.dumps({str(number): number for number in range(150_000)}).encode()
    longest, done = 0.0, False

    async def beat() -> None:
        nonlocal longest
        while not done:
            began = time.monotonic()
            await checkpoint()
            longest = max(longest, time.monotonic() - began)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        assert len(await read_body(body)) == 150_000
        done = True
    began = time.monotonic()
    read_json(body)
    assert longest < (time.monotonic() - began) / 2
