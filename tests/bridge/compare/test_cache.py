"""The cache of answers: what it gives back, its bound, and that nothing fails for it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from llm_bridge.chat import Reply, Usage
from llm_bridge.compare import Cache
from llm_bridge.messages import ToolCall

REPLY = Reply("Hi \ud800", "hm", (ToolCall("1", "f", "{"),), "stop", Usage(1), data={"a": None}, notes=("n",))


def key(number: int) -> str:
    return f"{number:064x}"


def age(folder: Path, number: int, seconds: int) -> None:
    file = folder / key(number)[:2] / f"{key(number)}.json"
    os.utime(file, (seconds, seconds))


async def test_what_was_put_is_given_and_nothing_else(tmp_path: Path) -> None:
    await Cache(tmp_path / "new").put(key(1), REPLY)
    assert await Cache(tmp_path / "new").get(key(1)) == REPLY
    assert await Cache(tmp_path / "new").get(key(2)) is None


async def test_many_are_looked_up_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in (1, 3):
        await cache.put(key(number), Reply(str(number)))
    assert await cache.get_all([key(number) for number in range(4)]) == {
        key(number): Reply(str(number)) for number in (1, 3)
    }


async def test_above_its_bound_the_answers_used_longest_ago_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=12_000)
    for number in range(8):
        await cache.put(key(number), Reply("x" * 1000))
        age(tmp_path, number, 1000 + number)
    assert await cache.get(key(0))
    for number in range(8, 11):
        await cache.put(key(number), Reply("x" * 1000))
    assert await cache.get(key(0)), "It was used a moment ago."
    assert await cache.get(key(1)) is None
    assert await cache.get(key(10))
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= 12_000


async def test_the_bound_holds_for_what_earlier_runs_left(tmp_path: Path) -> None:
    for number in range(20):
        await Cache(tmp_path).put(key(number), Reply("x" * 1000))
    await Cache(tmp_path, most_bytes=5_000).put(key(20), Reply("y"))
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= 5_000


async def test_damaged_answers_are_none_and_are_replaced(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    await cache.put(key(1), REPLY)
    file = next(tmp_path.glob("*/*"))
    for content in ("", "{}", "[1]", "7", '{"text": 7}', file.read_text().replace('"Hi', "7,")):
        file.write_text(content)
        assert await cache.get(key(1)) is None
    await cache.put(key(1), REPLY)
    assert await cache.get(key(1)) == REPLY


async def test_a_disk_that_refuses_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")
    await cache.put(key(1), REPLY)
    assert await cache.get(key(1)) is None


async def test_many_may_put_at_once(tmp_path: Path) -> None:
    caches = [Cache(tmp_path, 20_000), Cache(tmp_path, 20_000)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(caches[number % 2].put(key(number % 50), Reply("x" * 1000)))
    assert [file.suffix for file in tmp_path.glob("*/*") if file.suffix != ".json"] == []
