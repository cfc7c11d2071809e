"""What every sink promises. A further sink joins by adding itself to the fixture `sink`."""

from __future__ import annotations

import os

import anyio
import pytest

from comfy_mcp.assets import Sink
from comfy_mcp.errors import NotFound

KEY = "2026-11/cat-1234-3f2a9c0d11ee.png"
LARGE = os.urandom(3_000_000)
BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x.png",
    "2026-11/../../x.png",
    "2026-11/./x.png",
    "2026-11//x.png",
    "2026-11/",
    ".hidden",
    "2026-11/.unfinished-1",
    "a\\..\\b",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 256,
    "é" * 128,
    "/".join(["abcdefghij"] * 100),
]


async def test_what_was_put_is_there(sink: Sink) -> None:
    assert not await sink.exists(KEY)
    await sink.put(KEY, LARGE)
    assert await sink.exists(KEY)
    assert await sink.get(KEY) == LARGE


async def test_nothing_is_there_before(sink: Sink) -> None:
    with pytest.raises(NotFound):
        await sink.get(KEY)
    with pytest.raises(NotFound):
        await collect(sink, KEY)
    assert not await sink.exists(KEY)
    await sink.delete(KEY)


async def test_putting_again_changes_nothing(sink: Sink) -> None:
    await sink.put(KEY, b"picture")
    await sink.put(KEY, b"picture")
    assert await sink.get(KEY) == b"picture"


async def test_a_file_of_another_length_is_replaced(sink: Sink) -> None:
    await sink.put(KEY, b"torn by somebody el")
    await sink.put(KEY, b"whole")
    assert await sink.get(KEY) == b"whole"


async def test_what_was_deleted_is_gone(sink: Sink) -> None:
    await sink.put(KEY, b"picture")
    await sink.delete(KEY)
    assert not await sink.exists(KEY)
    with pytest.raises(NotFound):
        await sink.get(KEY)
    await sink.put(KEY, b"picture")
    assert await sink.get(KEY) == b"picture"


async def test_an_empty_file_is_a_file(sink: Sink) -> None:
    await sink.put(KEY, b"")
    assert await sink.get(KEY) == b""
    assert await collect(sink, KEY) == b""


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 0),
        (0, 1),
        (7, 7),
        (7, 300_000),
        (262_143, 262_145),
        (2_999_999, None),
        (5, 10**9),
        (3_000_000, None),
    ],
)
async def test_any_part_can_be_streamed(sink: Sink, start: int, stop: int | None) -> None:
    await sink.put(KEY, LARGE)
    assert await collect(sink, KEY, start, stop) == LARGE[start:stop]


async def test_a_stream_may_be_left_early(sink: Sink) -> None:
    await sink.put(KEY, LARGE)
    pieces = sink.stream(KEY)
    first = await anext(pieces)
    del pieces
    assert LARGE.startswith(first)
    assert first


@pytest.mark.parametrize(
    "key", ["2026-11/猫 und Café-1-0.png", "a b/100% #1~{x}[y]'(1)+&=;!@$^`.png", "plain", "a/b/c/d"]
)
async def test_keys_may_hold_any_letters(sink: Sink, key: str) -> None:
    await sink.put(key, b"picture")
    assert await sink.get(key) == b"picture"
    assert await collect(sink, key) == b"picture"
    await sink.delete(key)
    assert not await sink.exists(key)


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_key_that_leaves_the_place_is_not_found(sink: Sink, key: str) -> None:
    with pytest.raises(NotFound):
        await sink.put(key, b"picture")
    with pytest.raises(NotFound):
        await sink.get(key)
    with pytest.raises(NotFound):
        await collect(sink, key)
    assert not await sink.exists(key)
    await sink.delete(key)


async def test_many_tasks_may_put_the_same_and_other_files_at_once(sink: Sink) -> None:
    async def put(number: int) -> None:
        name = number % 5
        await sink.put(f"2026-11/{name}.png", bytes((name,)) * 100_000)
        assert await sink.get(f"2026-11/{name}.png") == bytes((name,)) * 100_000

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(25):
                tasks.start_soon(put, number)


async def test_a_working_place_passes_its_check(sink: Sink) -> None:
    await sink.check()
    await sink.put(KEY, b"picture")
    await sink.check()
    assert await sink.get(KEY) == b"picture"


async def collect(sink: Sink, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in sink.stream(key, start=start, stop=stop)])
