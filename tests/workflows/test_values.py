"""One value against one parameter: what is understood, what is refused, and by which name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import InvalidParameter, MissingModel, TooLarge
from comfy_mcp.workflows import Bind, Parameter
from comfy_mcp.workflows.choices import default_choice
from comfy_mcp.workflows.values import MOST_SEED, checked, on_grid
from tests.workflows.samples import unhurried

BIND = (Bind(class_type="A", node="1", input="x"),)
INT = Parameter(type="int", bind=BIND, min=1, max=150)
FREE = Parameter(type="int", bind=BIND)
FLOAT = Parameter(type="float", bind=BIND, min=0.0, max=30)
SEED = Parameter(type="seed", bind=BIND)
BOOL = Parameter(type="bool", bind=BIND)
TEXT = Parameter(type="text", bind=BIND)
FILE = Parameter(type="text", bind=(Bind(class_type="A", node="1", input="filename_prefix"),))
IMAGE = Parameter(type="image", bind=BIND)
ENUM = Parameter(type="enum", bind=BIND, choices_from="A.x")
MODEL = Parameter(type="model", bind=BIND, choices_from="A.x")


@pytest.mark.parametrize(
    ("parameter", "value", "taken"),
    [
        (INT, 20, 20),
        (INT, "20", 20),
        (INT, " +20 ", 20),
        (INT, 20.0, 20),
        (FREE, -(2**63), -(2**63)),
        (FREE, str(2**64 - 1), 2**64 - 1),
        (FLOAT, 6.5, 6.5),
        (FLOAT, 6, 6.0),
        (FLOAT, "6.5", 6.5),
        (FLOAT, "1e1", 10.0),
        (FLOAT, ".5", 0.5),
        (SEED, 0, 0),
        (SEED, MOST_SEED, MOST_SEED),
        (SEED, str(MOST_SEED), MOST_SEED),
        (BOOL, True, True),
        (BOOL, "true", True),
        (BOOL, "Yes", True),
        (BOOL, "1", True),
        (BOOL, "off", False),
        (TEXT, "", ""),
        (TEXT, "a\tb\r\nc 🌊 [output] ../x C:\\y", "a\tb\r\nc 🌊 [output] ../x C:\\y"),
        (TEXT, "x" * 100_000, "x" * 100_000),
        (FILE, "mine/picture", "mine/picture"),
        (IMAGE, "aB3_-", "aB3_-"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_loses_nothing_is_taken(parameter: Parameter, value: object, taken: object) -> None:
    found = checked("p", parameter, value, choices=None)
    assert found == taken
    assert type(found) is type(taken)


def each(parameter: Parameter, *values: object) -> list[tuple[Parameter, object]]:
    return [(parameter, value) for value in values]


REFUSED = [
    *each(INT, 0, 151, 2.5, "2.5", "20.0", "many", "", "０", "1_0", "0x10", True, False, math.nan),
    *each(INT, math.inf, None, [20], {"x": 1}, "9" * 30, 10**30, b"20"),
    *each(FREE, 2**64, -(2**63) - 1, 1e300),
    *each(FLOAT, -0.1, 30.01, "nan", "inf", "-inf", "1e999", "1_0", "６", True, math.nan, math.inf),
    *each(FLOAT, 10**400, None, [], {}, "", "6,5"),
    *each(SEED, -2, 2**64, 1.5, "1.5", True, "0x10", "a", [], 1e18),
    *each(BOOL, 1, 0, "2", "", None, "ja", 1.0, []),
    *each(TEXT, 5, None, True, ["4", 0], {"__value__": 1}, "a\x00", "\x1b[2J", "\x85", "\ud800"),
    *each(FILE, "../x", "/x", "C:\\x", "x [output]", "%2e%2e/x", "x" * 401),
    *each(IMAGE, "", "a/b", "../x", "a b", "x" * 65, 5, None, ["1", 0], "é", "x\n"),
]


@pytest.mark.parametrize(("parameter", "value"), REFUSED, ids=lambda value: repr(value)[:30])
def test_everything_else_is_refused_by_name(parameter: Parameter, value: object) -> None:
    with pytest.raises(InvalidParameter) as caught:
        checked("steps", parameter, value, choices=None)
    failure = caught.value
    assert failure.parameter == failure.details["parameter"] == "steps"
    assert "steps" in failure.message
    assert failure.hint
    assert len(str(failure)) < 400
    json.dumps(failure.details, allow_nan=False)


def test_a_range_is_told() -> None:
    with pytest.raises(InvalidParameter, match=r"steps 151 is out of range\. Give 1 to 150\."):
        checked("steps", INT, 151, choices=None)
    with pytest.raises(InvalidParameter, match=rf"Give 0 to {MOST_SEED}\. -1 draws one\."):
        checked("seed", SEED, -7, choices=None)


def test_a_text_over_100_000_characters_is_too_large() -> None:
    with pytest.raises(TooLarge) as caught:
        checked("prompt", TEXT, "x" * 100_001, choices=None)
    assert caught.value.details["parameter"] == "prompt"


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)


@unhurried
@given(st.sampled_from([INT, FREE, FLOAT, SEED, BOOL, TEXT, FILE, IMAGE, ENUM, MODEL]), ANYTHING)
def test_whatever_comes_is_taken_as_its_type_or_refused(parameter: Parameter, value: object) -> None:
    try:
        found = checked("p", parameter, value, choices=("euler", "karras"))
    except InvalidParameter as failure:
        assert failure.parameter == "p" and failure.hint
        return
    kinds: dict[str, type] = {"int": int, "seed": int, "float": float, "bool": bool}
    assert type(found) is kinds.get(parameter.type, str)
    if parameter is INT:
        assert 1 <= found <= 150
    if parameter is FLOAT:
        assert 0 <= found <= 30


@unhurried
@given(st.integers(-1000, 1000), st.integers(1, 64), st.integers(-500, 500))
def test_the_grid_starts_at_the_minimum_and_goes_down(low: int, step: int, above: int) -> None:
    parameter = Parameter(type="int", bind=BIND, min=low, step=step)
    value = low + abs(above)
    rounded = on_grid(parameter, value)
    assert (rounded - low) % step == 0
    assert low <= rounded <= value < rounded + step


MODELS = (
    "SDXL/sd_xl_base.safetensors",
    "SDXL\\turbo.v1.safetensors",
    "old/same.ckpt",
    "new/same.safetensors",
    "Case.safetensors",
    "case2.pt",
)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("SDXL/sd_xl_base.safetensors", "SDXL/sd_xl_base.safetensors"),
        ("sdxl/SD_XL_base.safetensors", "SDXL/sd_xl_base.safetensors"),
        ("SDXL\\sd_xl_base.safetensors", "SDXL/sd_xl_base.safetensors"),
        ("SDXL/sd_xl_base", "SDXL/sd_xl_base.safetensors"),
        ("sd_xl_base.safetensors", "SDXL/sd_xl_base.safetensors"),
        (" sd_xl_base ", "SDXL/sd_xl_base.safetensors"),
        ("turbo.v1", "SDXL\\turbo.v1.safetensors"),
        ("SDXL/turbo.v1.safetensors", "SDXL\\turbo.v1.safetensors"),
        ("same.ckpt", "old/same.ckpt"),
        ("CASE", "Case.safetensors"),
    ],
)
def test_a_model_is_known_by_what_can_mean_only_one(value: str, meant: str) -> None:
    assert checked("checkpoint", MODEL, value, choices=MODELS) == meant


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("same", "can mean old/same.ckpt, new/same.safetensors"),
        ("turbo", "unknown; nearest: .*turbo.v1"),
        ("sd_xl_base.ckpt", "unknown; nearest: SDXL/sd_xl_base"),
        ("OTHER/sd_xl_base", "unknown"),
        ("../SDXL/sd_xl_base", "unknown"),
        ("x" * 100_000, "unknown"),
        (True, "not a name"),
        (["4", 0], "not a name"),
        (None, "not a name"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_model_that_is_not_there_or_not_clear_is_refused(value: Any, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told) as caught:
        checked("checkpoint", MODEL, value, choices=MODELS)
    assert caught.value.hint and len(str(caught.value)) < 500


def test_what_comes_out_of_a_list_is_what_it_offers() -> None:
    assert checked("size", ENUM, "512", choices=(256, 512)) == 512
    assert checked("size", ENUM, 512, choices=(256, 512)) == 512
    assert checked("size", ENUM, "true", choices=(True, False)) is True
    assert checked("scheduler", ENUM, "KARRAS", choices=("karras", "simple")) == "karras"


@unhurried
@given(st.text(max_size=20))
def test_nothing_that_is_not_offered_comes_out(value: str) -> None:
    try:
        assert checked("p", MODEL, value, choices=MODELS) in MODELS
    except InvalidParameter as failure:
        assert failure.parameter == "p"


@pytest.mark.parametrize("value", ["../x", "/x", "..\\x", "C:\\x", "", "x\x00", "x [output]", "x" * 401])
def test_where_nobody_knows_the_choices_only_plain_names_pass(value: str) -> None:
    assert checked("p", MODEL, "SDXL\\a.safetensors", choices=None) == "SDXL\\a.safetensors"
    with pytest.raises(InvalidParameter):
        checked("p", MODEL, value, choices=None)


def test_where_there_is_no_file_it_says_where_to_put_one() -> None:
    with pytest.raises(MissingModel, match="models folder") as caught:
        checked("checkpoint", MODEL, "a", choices=())
    assert caught.value.details["parameter"] == "checkpoint"


@pytest.mark.parametrize(
    ("default", "choices", "taken"),
    [
        (None, ("b.ckpt", "a.ckpt"), "b.ckpt"),
        ("a.ckpt", ("b.ckpt", "a.ckpt"), "a.ckpt"),
        ("a", ("b.ckpt", "sub/a.ckpt"), "sub/a.ckpt"),
        ("t5", ("clip_l.pt", "google_t5xxl.pt", "t5.gguf.pt"), "google_t5xxl.pt"),
        ("clip_l", ("my-clip-l.pt", "x.pt"), "my-clip-l.pt"),
        ("ae.safetensors", ("sdxl_vae.safetensors", "flux_ae.safetensors"), "flux_ae.safetensors"),
        ("flux1-dev", ("the-only-one.pt",), "the-only-one.pt"),
        ("(+[", ("the-only-one.pt",), "the-only-one.pt"),
    ],
)
def test_a_default_model_is_found_by_the_start_of_a_word(
    default: str | None, choices: tuple[str, ...], taken: str
) -> None:
    parameter = Parameter(type="model", bind=BIND, choices_from="A.x", default=default)
    assert default_choice("m", parameter, choices) == taken


def test_a_default_model_that_is_not_there_is_asked_for() -> None:
    parameter = Parameter(type="model", bind=BIND, choices_from="A.x", default="ae.safetensors")
    with pytest.raises(MissingModel, match=r"no file like 'ae\.safetensors'.*sdxl_vae"):
        default_choice("vae", parameter, ("sdxl_vae.safetensors", "sd_vae.pt"))
