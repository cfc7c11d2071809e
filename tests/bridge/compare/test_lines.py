"""A file of JSON lines: many writers at once, a disk that refuses, and what a crash leaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from llm_bridge.compare.disk import lock
from llm_bridge.compare.lines import Lines


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


async def test_a_line_that_another_is_writing_is_waited_for_and_not_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    with file.open("ab") as other:
        lock(other, wait=True)
        other.write(b'"in two ')
        other.flush()
        appending = asyncio.create_task(Lines(file).append(2))
        done, _ = await asyncio.wait([appending], timeout=0.05)
        assert not done
        other.write(b'halves"\n')
    async with asyncio.timeout(5):
        await appending
    assert Lines(file).read() == (["in two halves", 2], 0)
