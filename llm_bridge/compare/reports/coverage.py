"""Which letters a font really has, read from the table `cmap` of its file (OpenType, formats 4 and 12).

Knows the file format alone; which files there are is `fonts`. Needs no Pillow, which does not tell this.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

__all__ = ["Coverage", "coverage"]

_MOST_BYTES = 8 << 20
# The best table first: all of Unicode, then its first plane. Format 13, which gives every letter one sign, is not read.
_WANTED = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0))


@dataclass(frozen=True, slots=True)
class Coverage:
    """The letters as ranges in their order: each from a start to before its end."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def __contains__(self, letter: str) -> bool:
        code = ord(letter)
        place = bisect_right(self.starts, code) - 1
        return place >= 0 and code < self.ends[place]


def coverage(source: Path | bytes, index: int = 0) -> Coverage:
    """Of the ``index``-th font of a file. A file that cannot be read as a font covers nothing."""
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            return _ranges(_codes(_cmap(file, index)))
    except (OSError, struct.error, IndexError, ValueError):
        return Coverage()


def _cmap(file: BinaryIO, index: int) -> bytes:
    if file.read(4) == b"ttcf":
        file.seek(8)
        fonts = struct.unpack(">I", file.read(4))[0]
        if index >= fonts:
            raise ValueError("There is no such font in the file.")
        file.seek(12 + 4 * index)
        start = struct.unpack(">I", file.read(4))[0]
    else:
        start = 0
    file.seek(start + 4)
    tables = struct.unpack(">H", file.read(2))[0]
    file.seek(start + 12)
    for name, _, offset, length in struct.iter_unpack(">4sIII", file.read(16 * tables)):
        if name == b"cmap":
            file.seek(offset)
            return file.read(min(length, _MOST_BYTES))
    raise ValueError("The font has no table of letters.")


def _codes(cmap: bytes) -> Iterator[tuple[int, int]]:
    """Ranges of codes, from a first to before an end."""
    count = struct.unpack_from(">H", cmap, 2)[0]
    tables = {
        (platform, encoding): offset
        for platform, encoding, offset in struct.iter_unpack(">HHI", cmap[4 : 4 + 8 * count])
    }
    for wanted in _WANTED:
        if wanted in tables:
            table = cmap[tables[wanted] :]
            kind = struct.unpack_from(">H", table)[0]
            if kind in (4, 12):
                return _format_4(table) if kind == 4 else _format_12(table)
    return iter(())


def _format_12(table: bytes) -> Iterator[tuple[int, int]]:
    groups = struct.unpack_from(">I", table, 12)[0]
    for first, last, glyph in struct.iter_unpack(">III", table[16 : 16 + 12 * groups]):
        if last < 0x110000:
            # Glyph 0 stands for "not there".
            yield first + (glyph == 0), last + 1


def _format_4(table: bytes) -> Iterator[tuple[int, int]]:
    size = struct.unpack_from(">H", table, 6)[0]
    segments = size // 2
    ends = struct.unpack_from(f">{segments}H", table, 14)
    starts = struct.unpack_from(f">{segments}H", table, 16 + size)
    deltas = struct.unpack_from(f">{segments}H", table, 16 + 2 * size)
    at = 16 + 3 * size
    offsets = struct.unpack_from(f">{segments}H", table, at)
    for number, (start, end, delta, offset) in enumerate(zip(starts, ends, deltas, offsets, strict=True)):
        for code in range(start, min(end, 0xFFFE) + 1):
            glyph = code
            if offset:
                place = at + 2 * number + offset + 2 * (code - start)
                glyph = struct.unpack_from(">H", table, place)[0] if place + 2 <= len(table) else 0
            if (glyph + delta) & 0xFFFF and (glyph or not offset):
                yield code, code + 1


def _ranges(codes: Iterable[tuple[int, int]]) -> Coverage:
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(codes):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        elif start < end:
            starts.append(start)
            ends.append(end)
    return Coverage(tuple(starts), tuple(ends))
