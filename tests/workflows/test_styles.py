"""Style presets: the shipped ones are well made, a person's own are read kindly, and a prompt comes out whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import TemplateError
from comfy_mcp.workflows import Style, bind, check
from comfy_mcp.workflows.styles import read_styles
from tests.workflows.samples import SHIPPED, offering, unhurried

STYLES = SHIPPED.styles
FULL = offering()


def test_there_is_a_style_for_most_wishes() -> None:
    assert len(STYLES) >= 16
    assert {"photographic", "cinematic", "anime", "watercolor", "pixel_art", "flat_vector"} <= set(STYLES)


@pytest.mark.parametrize("name", STYLES)
def test_a_shipped_style_is_made_with_care(name: str) -> None:
    style = STYLES[name]
    assert style.prompt.count("{prompt}") == 1
    assert 80 <= len(style.prompt) <= 300
    assert style.negative and 15 <= len(style.description) <= 80
    terms = [term.strip() for text in (style.prompt, style.negative) for term in text.split(",")]
    assert len(set(terms)) == len(terms), "a word is given twice"
    assert not [text for text in (style.prompt, style.negative) if text.endswith((",", ".", " ")) or ",," in text]


@pytest.mark.parametrize("name", STYLES)
def test_every_override_is_a_setting_of_txt2img_that_it_takes(name: str) -> None:
    bound = bind(SHIPPED.get("txt2img"), {"prompt": "a fox"}, style=STYLES[name], object_info=FULL)
    assert bound.warnings == ()
    assert {key: bound.values[key] for key in STYLES[name].overrides} == dict(STYLES[name].overrides)
    check(bound, FULL)


def test_titles_and_prompts_are_all_different() -> None:
    for field in ("title", "description", "prompt", "negative"):
        assert len({getattr(style, field) for style in STYLES.values()}) == len(STYLES), field


PLAIN = Style(title="Plain", prompt="a {prompt}!", negative="bad")


@pytest.mark.parametrize(
    ("prompt", "negative", "painted"),
    [
        ("fox", "", ("a fox!", "bad")),
        (" fox., ", "dog, ", ("a fox!", "dog, bad")),
        ("{prompt} {x} %s", "x", ("a {prompt} {x} %s!", "x, bad")),
        ("", "", ("a !", "bad")),
    ],
)
def test_a_style_goes_around_the_prompt_and_adds_to_the_negative(
    prompt: str, negative: str, painted: tuple[str, str]
) -> None:
    assert PLAIN.apply(prompt, negative) == painted
    assert Style(title="N", prompt="{prompt}").apply("x", "y") == ("x", "y")


@unhurried
@given(st.text(), st.text())
def test_nothing_of_what_the_person_wrote_is_lost(prompt: str, negative: str) -> None:
    around, against = PLAIN.apply(prompt, negative)
    assert prompt.strip().rstrip(".,;") in around
    assert negative.strip().rstrip(",") in against


def test_a_bad_style_is_told_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "styles.toml"
    path.write_text(
        """
        [dreamy]
        title = "Dreamy"
        prompt = "dreamy {prompt}"
        [no_place]
        title = "T"
        prompt = "nothing"
        [two_places]
        title = "T"
        prompt = "{prompt} {prompt}"
        [no_title]
        prompt = "{prompt}"
        [misspelt]
        title = "T"
        prompt = "{prompt}"
        negativ = "x"
        [greedy]
        title = "T"
        prompt = "{prompt}"
        overrides = { seed = 5 }
        [listed]
        title = "T"
        prompt = "{prompt}"
        overrides = { cfg = [5] }
        [Capital]
        title = "T"
        prompt = "{prompt}"
        """
    )
    styles, problems = read_styles(path)
    assert list(styles) == ["dreamy"]
    told = "\n".join(problems)
    for part in (
        "no_place, prompt: must hold {prompt} exactly once",
        "two_places, prompt",
        "no_title, title: is missing",
        "misspelt, negativ: there is no such key; nearest: negative",
        "greedy, overrides: seed belongs to the person",
        "listed, overrides.cfg",
        "'Capital' is no style id",
    ):
        assert part in told
    assert len(problems) == 7


@pytest.mark.parametrize("data", [b"[x", b"\xff", b"x = 5", b"a = " + b"[" * 5000])
def test_a_styles_file_that_cannot_be_read_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "styles.toml"
    path.write_bytes(data)
    try:
        styles, problems = read_styles(path)
    except TemplateError as failure:
        assert "styles.toml" in failure.message and failure.hint
    else:
        assert not styles and "x" in problems[0]


def test_no_file_is_no_style(tmp_path: Path) -> None:
    assert read_styles(tmp_path / "styles.toml") == ({}, [])
