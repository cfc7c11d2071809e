"""What is typed after `--`: every way to write a value, what is no option, and that nothing can break the reading."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import InvalidParameter, TooLarge
from comfy_mcp.proxy.openai.agent.options import options_in, wants_new, without_options
from comfy_mcp.workflows import Template
from comfy_mcp.workflows.catalogue import shipped_folder
from comfy_mcp.workflows.manifest import Bind, Manifest, Parameter
from comfy_mcp.workflows.template import load_template

TXT2IMG = load_template(shipped_folder() / "txt2img")
_BIND = (Bind(class_type="A", node="1", input="x"),)
TILED = Template(
    "tiled",
    Manifest(title="Tiled", description="x", parameters={"tile": Parameter(type="bool", bind=_BIND)}),
    {},
    shipped_folder(),
)


@pytest.mark.parametrize(
    ("text", "prompt", "values"),
    [
        ("a red house", "a red house", {}),
        ("a red house --steps 30 --cfg 6.5", "a red house", {"steps": "30", "cfg": "6.5"}),
        ("--steps 30 a red house", "a red house", {"steps": "30"}),
        ("a red --seed -1 house", "a red house", {"seed": "-1"}),
        ("a house --steps=30", "a house", {"steps": "30"}),
        ("a house —steps 30", "a house", {"steps": "30"}),
        ("a house --Steps 30", "a house", {"steps": "30"}),
        (
            "a house --negative blurry, low quality --steps 3",
            "a house",
            {"negative": "blurry, low quality", "steps": "3"},
        ),
        ("a house --negative 'two words' by the sea", "a house by the sea", {"negative": "two words"}),
        ("a house --negative “two words” by the sea", "a house by the sea", {"negative": "two words"}),
        ("a house --negative don't, can't", "a house", {"negative": "don't, can't"}),
        ("a house --negative blurry\nby the sea", "a house by the sea", {"negative": "blurry"}),
        ('a sign with "--steps" on it', 'a sign with "--steps" on it', {}),
        ("1 -- 2, a--b and --", "1 -- 2, a--b and --", {}),
        ("it's a \"quoted\" dog's house --steps 2", "it's a \"quoted\" dog's house", {"steps": "2"}),
        ("a --steps 2 --steps 3", "a", {"steps": "3"}),
    ],
)
def test_what_is_typed_is_what_is_meant(text: str, prompt: str, values: dict[str, Any]) -> None:
    options = options_in(text, TXT2IMG)
    assert (options.prompt, options.values) == (prompt, values)


def test_styles_presets_help_and_new_are_no_values() -> None:
    options = options_in("a --style anime --preset “my own” --new --help", TXT2IMG)
    assert (options.style, options.preset, options.help, options.values) == ("anime", "my own", True, {})


@pytest.mark.parametrize(
    ("text", "value"), [("x --tile", True), ("x --no-tile", False), ("x --tile off", "off"), ("x --tile wood", True)]
)
def test_a_flag_needs_no_value(text: str, value: object) -> None:
    assert options_in(text, TILED).values == {"tile": value}


@pytest.mark.parametrize(
    "text", ["a --stepz 3", "a --no-steps", "a --ar 16:9", "a --steps", "a --steps --cfg 3", "a --style"]
)
def test_what_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        options_in(text, TXT2IMG)
    with pytest.raises(InvalidParameter):
        options_in("a --style anime", TILED)


def test_new_is_seen_before_anything_else_is_read() -> None:
    assert wants_new("--new a cat") and wants_new("a cat —new") and not wants_new("a new --newer cat--new")
    assert without_options("a cat --steps 3 on a mat") == "a cat"


@pytest.mark.parametrize(
    "text",
    [
        "--steps" + " " * 90_000,
        "--negative “x " * 6_000,
        "--negative 'x " * 6_000,
        "--steps 1 " * 9_000,
        "--" + "a" * 90_000,
        "-" * 90_000,
        "x " * 60_000,
    ],
)
def test_a_hostile_message_takes_no_time(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(InvalidParameter, TooLarge):
        options_in(text, TXT2IMG)
    assert time.process_time() - began < 1


@given(st.text(alphabet="ab-—= \n\"'“”steps1") | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidParameter):
        options = options_in(text, TXT2IMG)
        assert set("".join(options.prompt.split())) <= set("".join(text.split()))
