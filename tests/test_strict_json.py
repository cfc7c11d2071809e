"""What the JSON gate lets through, and what it refuses by name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import BadRequest
from comfy_mcp.strict_json import read_json

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
