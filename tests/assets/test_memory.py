"""Memory: everything ends at its time, and the bound holds."""

from __future__ import annotations

import pytest

from comfy_mcp.assets import MemorySink
from comfy_mcp.errors import NotFound, StorageUnavailable


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def keys(sink: MemorySink) -> str:
    return "".join([key for key in "abcdef" if await sink.exists(key)])


async def test_files_expire() -> None:
    clock = Clock()
    sink = MemorySink(ttl_seconds=60, clock=clock)
    await sink.put("a", b"1")
    clock.now += 59.9
    assert await sink.get("a") == b"1"
    clock.now += 0.1
    with pytest.raises(NotFound):
        await sink.get("a")
    assert not await sink.exists("a")


async def test_putting_again_starts_the_time_anew_and_reading_does_not() -> None:
    clock = Clock()
    sink = MemorySink(ttl_seconds=60, clock=clock)
    await sink.put("a", b"1")
    await sink.put("b", b"2")
    clock.now += 50
    await sink.put("a", b"1")
    await sink.get("b")
    clock.now += 50
    assert await keys(sink) == "a"


async def test_what_was_unused_for_longest_goes_first() -> None:
    sink = MemorySink(max_bytes=30)
    for key in "abc":
        await sink.put(key, bytes(10))
    await sink.get("a")
    await sink.put("d", bytes(10))
    assert await keys(sink) == "acd"
    await sink.put("e", bytes(25))
    assert await keys(sink) == "e"


async def test_what_expired_makes_room_before_what_lives() -> None:
    clock = Clock()
    sink = MemorySink(max_bytes=30, ttl_seconds=60, clock=clock)
    await sink.put("a", bytes(10))
    clock.now += 30
    await sink.put("b", bytes(10))
    await sink.get("a")
    clock.now += 40
    await sink.put("c", bytes(20))
    assert await keys(sink) == "bc"


async def test_the_same_file_counts_once() -> None:
    sink = MemorySink(max_bytes=30)
    await sink.put("a", bytes(10))
    for _ in range(10):
        await sink.put("b", bytes(20))
    assert await keys(sink) == "ab"
    await sink.delete("b")
    await sink.put("c", bytes(20))
    assert await keys(sink) == "ac"


async def test_a_file_larger_than_all_of_it_is_refused_and_drops_nothing() -> None:
    sink = MemorySink(max_bytes=30)
    await sink.put("a", bytes(10))
    with pytest.raises(StorageUnavailable) as refused:
        await sink.put("b", bytes(31))
    assert "folder" in refused.value.hint
    assert await keys(sink) == "a"
