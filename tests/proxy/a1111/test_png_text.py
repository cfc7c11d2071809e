"""Texts in pictures of strangers: read within bounds, however many and however packed."""

from __future__ import annotations

import time
import zlib

import pytest

from comfy_mcp.proxy.a1111.png_text import MOST_TEXT, texts_of, with_text
from tests.images import samples
from tests.security.bombs import TEXTS

SMALL = samples.chunk(b"tEXt", b"parameters\0a cat")


def png(*texts: bytes) -> bytes:
    return samples.png(8, 8, *texts, pixels=zlib.compress(bytes(72)))


def packed(text: bytes, name: bytes = b"long") -> bytes:
    return samples.chunk(b"zTXt", name + b"\0\0" + zlib.compress(text))


@pytest.mark.parametrize("name", TEXTS)
async def test_no_picture_takes_long_to_read(name: str) -> None:
    data = TEXTS[name]()
    started = time.monotonic()
    assert await texts_of(data) == {}
    assert time.monotonic() - started < 0.5


async def test_what_is_unpacked_counts_also_when_it_is_left_out() -> None:
    too_long = packed(bytes(MOST_TEXT + 1))
    assert await texts_of(png(too_long, SMALL)) == {}
    assert await texts_of(png(SMALL, too_long)) == {"parameters": "a cat"}


async def test_the_texts_have_a_bound_together() -> None:
    half = bytes(MOST_TEXT // 2 + 1)
    found = await texts_of(png(packed(half, b"one"), packed(half, b"two"), SMALL))
    assert [*found] == ["one"]


async def test_texts_are_counted_also_when_they_are_left_out() -> None:
    broken = samples.chunk(b"zTXt", b"a\0\0none")
    assert await texts_of(png(*[broken] * 63, SMALL)) == {"parameters": "a cat"}
    assert await texts_of(png(*[broken] * 64, SMALL)) == {}


async def test_a_long_text_that_is_not_packed_takes_no_place_from_others() -> None:
    long = samples.chunk(b"tEXt", b"workflow\0" + b"x" * (MOST_TEXT + 1))
    assert await texts_of(png(long, SMALL)) == {"parameters": "a cat"}


@pytest.mark.parametrize("text", ["a cat", "猫", "", "é\nSteps: 20"])
async def test_what_is_written_is_read(text: str) -> None:
    assert await texts_of(with_text(png(), "parameters", text)) == {"parameters": text}
