"""Titles of checkpoints, as A1111 writes them and as strangers may."""

from __future__ import annotations

import time

import pytest

from comfy_mcp.proxy.a1111.offers import without_hash

LONG = "a" * 600


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("sd/xl.safetensors [6ce0161689]", "sd/xl.safetensors"),
        ("xl.safetensors  [6CE0161689] \n", "xl.safetensors"),
        ("xl [turbo].ckpt", "xl [turbo].ckpt"),
        ("xl [abc]", "xl [abc]"),
        ("xl [6ce0161689] [6ce0161689]", "xl [6ce0161689]"),
        ("[6ce0161689]", ""),
        (LONG, LONG),
    ],
)
def test_the_hash_is_taken_off_a_title(title: str, name: str) -> None:
    assert without_hash(title) == name


@pytest.mark.parametrize("piece", [" ", " [", "[abcdef", " [abcdef]x"])
def test_a_title_made_to_be_slow_to_read_holds_nobody_up(piece: str) -> None:
    began = time.perf_counter()
    without_hash(piece * 60_000)
    assert time.perf_counter() - began < 0.2
