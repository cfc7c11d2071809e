"""The form of a template, and what a posted one means."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from comfy_mcp.apps import FORM, form_for_page
from comfy_mcp.errors import InvalidParameter
from comfy_mcp.ui import words_in
from comfy_mcp.ui.forms import ONLY_SET, Field, form_of, values_of
from tests.ui.forms import CATALOGUE, STYLES, described, parameter, rendered, shipped

HOSTILE = """<script>alert(1)</script>"'%s %(name)s {{ 7 * 7 }}"""
KINDS = [
    (parameter("prompt", "text"), "text", "hills\n  at dawn"),
    (parameter("steps", "int", default=25, min=1, max=150), "number", 30),
    (parameter("cfg", "float", default=6.0, min=0.0, max=30.0, step=0.1), "number", 4.5),
    (parameter("seed", "seed"), "seed", 2**63 - 1),
    (parameter("tiling", "bool", default=False), "switch", True),
    (parameter("scheduler", "enum", default="karras", choices=["simple", "karras"]), "select", "simple"),
    (parameter("sampler", "enum", choices=[f"sampler {at}" for at in range(20)]), "picker", "sampler 7"),
    (parameter("parts", "enum", default=2, choices=[1, 2, 4]), "select", 4),
    (parameter("checkpoint", "model", choices=["a.safetensors"]), "picker", "a.safetensors"),
    (parameter("vae", "model"), "line", "ae.safetensors"),
    (parameter("image", "image", required=True), "picture", "abc123-0"),
    (parameter("mask", "mask", required=True), "picture", "abc123-1"),
]


def field_of(told: dict[str, Any], name: str, **options: Any) -> Field:
    found = form_of(told, **options).field(name)
    assert found is not None
    return found


@pytest.mark.parametrize(("told", "kind", "value"), KINDS, ids=lambda told: str(told)[:20])
def test_every_type_has_a_control_and_comes_back_as_it_was(told: dict[str, Any], kind: str, value: Any) -> None:
    told = described(told)
    name = told["parameters"][0]["name"]
    field = field_of(told, name, values={name: value})
    assert (field.kind, field.given, field.differs) == (kind, True, True)
    assert values_of(told, {name: field.value}) == {name: value}
    assert type(values_of(told, {name: field.value})[name]) is type(value)
    assert f'name="{name}"' in rendered(form_of(told, values={name: value}))


@pytest.mark.parametrize(("told", "kind", "value"), KINDS, ids=lambda told: str(told)[:20])
def test_what_nobody_set_is_left_out(told: dict[str, Any], kind: str, value: Any) -> None:
    told = described(told)
    name = told["parameters"][0]["name"]
    field = field_of(told, name)
    assert not field.given and not field.differs
    assert values_of(told, {name: field.value}) == {}
    assert values_of(told, {}) == {}


@pytest.mark.parametrize("name", CATALOGUE.templates)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_shipped_template_has_a_form_in_every_language(name: str, language: str) -> None:
    told = shipped(name)
    form = form_of(told, styles=STYLES)
    text = rendered(form, language)
    for each in told["parameters"]:
        assert f'name="{each["name"]}"' in text
        assert words_in(language)(each["label"]) in text.replace("&#39;", "'")
    untouched = {each["name"]: field_of(told, each["name"]).value for each in told["parameters"]}
    assert values_of(told, untouched) == {}


def test_shipped_templates_and_styles_speak_chinese() -> None:
    words = words_in("zh")
    said = {text for style in CATALOGUE.styles.values() for text in (style.title, style.description)}
    for template in CATALOGUE.templates.values():
        said |= {template.title, template.description}
        said |= {text for each in template.parameters.values() for text in (each.label, each.help, each.group)}
    assert sorted(text for text in said if text and text not in words) == []


@pytest.mark.parametrize("kind", ["text", "int", "seed", "bool", "enum", "model", "image"])
@pytest.mark.parametrize("fixed", [False, True])
def test_what_others_wrote_is_never_markup(kind: str, fixed: bool) -> None:
    choices = [HOSTILE] * 2 if kind in ("enum", "model") else None
    told = parameter("mine", kind, label=HOSTILE, help=HOSTILE, group=HOSTILE, choices=choices)
    style = {"id": HOSTILE, "title": HOSTILE, "description": HOSTILE, "thumbnail": HOSTILE}
    values = {"mine": HOSTILE, "style": HOSTILE}
    told = described(told, {**told, "name": "folded", "advanced": True}, style=True)
    given: dict[str, Any] = {"locked": values} if fixed else {"values": values}
    for language in ("en", "zh"):
        text = rendered(form_of(told, styles=[style], loaded=[HOSTILE], pictures={"mine": HOSTILE}, **given), language)
        assert "<script" not in text and "49" not in text
        assert "&lt;script&gt;" in text and "%s %(name)s {{ 7 * 7 }}" in text


def test_loaded_models_come_first_and_one_that_is_gone_is_shown() -> None:
    told = described(parameter("checkpoint", "model", choices=["a", "b", "c", "b"], default="a"))
    field = field_of(told, "checkpoint", values={"checkpoint": "gone"}, loaded=["c", "never"])
    assert [(choice.value, choice.loaded) for choice in field.choices] == [
        ("c", True), ("gone", False), ("a", False), ("b", False),
    ]  # fmt: skip
    assert "<option selected>gone" in rendered(form_of(told, values={"checkpoint": "gone"}))


def test_width_and_height_are_one_control_where_both_are_free() -> None:
    told = shipped("txt2img")
    size = next(each for group in form_of(told).groups for each in group.fields if each.kind == "size")
    assert [part.name for part in size.parts] == ["width", "height"]
    assert 'data-shape="3:2"' in rendered(form_of(told))
    assert "data-shape" not in rendered(form_of(told, locked={"width": 512}))


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(1024, 1024, "1:1"), (1256, 840, "3:2"), (840, 1256, "2:3"), (1024, 1000, ""), (10**24, 8, ""), ("wide", 8, "")],
)
def test_the_shape_that_a_size_has_is_marked(width: Any, height: Any, shape: str) -> None:
    text = rendered(form_of(shipped("txt2img"), values={"width": width, "height": height}))
    assert re.findall(r'data-shape="([\d:]+)" aria-pressed="true"', text) == ([shape] if shape else [])
    assert text.count("data-shape=") == 7


def test_what_an_administrator_fixed_is_shown_and_not_posted() -> None:
    told = shipped("txt2img")
    text = rendered(form_of(told, styles=STYLES, values={"steps": 3}, locked={"steps": 40, "style": "anime"}))
    assert 'name="steps"' not in text and 'name="style"' not in text
    assert 'value="40" readonly' in text and 'value="Anime" readonly' in text
    assert text.count("Fixed by an administrator.") == 2


def test_a_form_that_says_what_was_set_keeps_a_default_that_somebody_chose() -> None:
    told = described(parameter("steps", "int", default=25), parameter("system", "text", default="Be kind."))
    assert values_of(told, {"steps": "25", "system": "Be kind."}) == {}
    assert values_of(told, {"steps": "25", ONLY_SET: "1"}) == {"steps": 25}
    assert values_of(told, {"system": ""}) == {"system": ""}
    assert values_of(told, {"system": "one\r\ntwo"}) == {"system": "one\ntwo"}


def test_an_empty_seed_is_drawn_anew() -> None:
    assert values_of(described(parameter("seed", "seed")), {"seed": ""}) == {}
    assert values_of(described(parameter("seed", "seed", default=0)), {"seed": " "}) == {"seed": -1}
    assert field_of(described(parameter("seed", "seed")), "seed", values={"seed": -1}).value == ""


@pytest.mark.parametrize(
    ("kind", "text"),
    [("int", "many"), ("int", "1.5"), ("int", "１２"), ("int", "9" * 5000), ("seed", "0x10"), ("float", "nan"),
     ("float", "1e9999"), ("float", "--1"), ("bool", "perhaps")],
)  # fmt: skip
def test_what_is_no_value_is_refused_by_name(kind: str, text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        values_of(described(parameter("mine", kind)), {"mine": text})
    assert refused.value.parameter == "mine"


def test_a_chat_gets_the_form_in_every_language_well_below_its_limit() -> None:
    models = [f"somebody/a-checkpoint-of-some-length-{at:04}.fp16.safetensors" for at in range(500)]
    told = shipped("txt2img_lora", checkpoint=models, lora=models)
    meta = form_for_page(told, styles=STYLES, values={"prompt": "hills"})
    assert meta[FORM]["zh"]["title"] == "文生图（带 LoRA）"
    assert "hills" in meta[FORM]["en"]["fields"]


def test_a_chat_gets_a_small_form_however_many_models_there_are() -> None:
    models = [f"somebody/a-checkpoint-of-some-length-{at:04}.fp16.safetensors" for at in range(5000)]
    told = shipped("txt2img_lora", checkpoint=models[::-1], lora=models)
    meta = form_for_page(told, styles=STYLES, values={"lora": models[3000]})
    assert len(json.dumps(meta).encode()) < 256 * 1024
    fields = meta[FORM]["en"]["fields"]
    assert f"<option selected>{models[3000]}" in fields and f"<option selected>{models[-1]}" in fields
    assert f"<option>{models[0]}" in fields and models[2000] not in fields
    assert "4799 more are not listed" in fields and "还有 4799 个" in meta[FORM]["zh"]["fields"]
    assert models[2000] in rendered(form_of(told))
