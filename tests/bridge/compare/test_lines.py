"""A file of JSON lines: many writers at once, a disk that refuses, and waiting to the end of what was begun."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from llm_bridge.compare.lines import Lines, to_the_end


async def test_who_is_cancelled_waits_for_the_end_of_what_was_begun() -> None:
    begun, goes_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await goes_on.wait()
        ended.set()

    waiting = asyncio.create_task(to_the_end(work()))
    async with asyncio.timeout(5):
        await begun.wait()
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert ended.is_set()


async def test_what_work_gives_or_raises_is_passed_on() -> None:
    async def fail() -> None:
        raise OSError

    assert await to_the_end(asyncio.sleep(0, "given")) == "given"
    with pytest.raises(OSError):
        await to_the_end(fail())


async def test_what_the_disk_refused_is_told_to_each_and_written_when_it_can_be(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.mkdir()
    lines = Lines(file)
    told = await asyncio.gather(lines.append(1), lines.append(2), return_exceptions=True)
    assert [type(error) for error in told] == [IsADirectoryError, IsADirectoryError]
    file.rmdir()
    await lines.append(3)
    assert lines.read() == ([1, 2, 3], 0)


async def test_a_line_is_a_record_whatever_is_in_it(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "lines.jsonl")
    records = ["a\nb", "\u2028 \ud800 猫", {"x": [None, 1.5]}]
    for record in records:
        await lines.append(record)
    assert lines.read() == (records, 0)
    assert len((tmp_path / "lines.jsonl").read_bytes().splitlines()) == 3


async def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'1\n{"half')
    assert Lines(file).read() == ([1], 0)
    assert file.read_bytes() == b'1\n{"half'
    await Lines(file).append(2)
    assert [json.loads(line) for line in file.read_bytes().splitlines()] == [1, 2]
