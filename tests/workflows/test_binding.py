"""Binding: what goes into the graph, who wins, and what no value can ever do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import InvalidParameter, MissingModel, WorkbenchError
from comfy_mcp.jobs import Graph, Upload
from comfy_mcp.workflows import ObjectInfo, Style, bind, check
from comfy_mcp.workflows.template import load_template
from tests.workflows.samples import MANIFEST, NAMES, SHIPPED, offering, small, template_of, unhurried, write_folder

TXT2IMG = SHIPPED.get("txt2img")
FULL = offering()

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.one_of(st.text(max_size=2), st.integers()), min_size=2, max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(
        ["4", "euler", "karras", "dreamshaper_8", "../../etc/passwd", "x\x00", "\ud800", "nan", "KSampler"]
    ),
)


def shape(graph: Graph) -> dict[str, Any]:
    """What a value must never change: nodes, classes, the names of inputs, and links."""
    return {
        node: (
            content["class_type"],
            {name: value if isinstance(value, list) else None for name, value in content["inputs"].items()},
        )
        for node, content in graph.items()
    }


@unhurried
@given(st.sampled_from(NAMES), st.sampled_from([None, FULL]), st.data())
def test_no_value_changes_a_class_or_a_link(name: str, info: ObjectInfo | None, data: st.DataObject) -> None:
    template = SHIPPED.get(name)
    before = copy.deepcopy(template.graph)
    needed = {each: st.one_of(st.just("ok"), ANY) for each in template.required}
    others = {each: ANY for each in template.parameters if each not in needed}
    values = data.draw(st.fixed_dictionaries(needed, optional=others))
    style = data.draw(st.sampled_from([None, *SHIPPED.styles.values()])) if template.takes_style else None
    try:
        bound = bind(template, values, style=style, object_info=info)
    except WorkbenchError as failure:
        assert failure.details.get("parameter") in template.parameters
        assert failure.hint
    else:
        assert shape(bound.graph) == shape(template.graph)
        if info is not None:
            check(bound, info)
    assert template.graph == before


@unhurried
@given(st.dictionaries(st.text(max_size=12), ANY, min_size=1, max_size=3))
def test_an_unknown_name_is_refused_by_name(values: dict[str, Any]) -> None:
    unknown = [name for name in values if name not in TXT2IMG.parameters]
    try:
        bind(TXT2IMG, {"prompt": "x", **values}, object_info=FULL)
    except InvalidParameter as failure:
        assert failure.parameter in {name[:64] for name in values}
    else:
        assert not unknown


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidParameter, match=r"no parameter 'chekpoint'\. Nearest: checkpoint"):
        bind(TXT2IMG, {"prompt": "x", "chekpoint": "a"})
    with pytest.raises(InvalidParameter, match="beside the values"):
        bind(TXT2IMG, {"prompt": "x", "style": "anime"})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("scheduler", "karas", "scheduler 'karas' is unknown; nearest: karras"),
        ("checkpoint", "dreamshapr_8.safetensors", "nearest: .*dreamshaper_8"),
        ("steps", 0, r"steps 0 is out of range\. Give 1 to 150"),
        ("seed", -5, "seed -5"),
        ("prompt", None, "prompt is missing"),
        ("width", "wide", "width is not a whole number"),
    ],
)
def test_a_refusal_says_what_is_taken(name: str, value: Any, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told) as caught:
        bind(TXT2IMG, {"prompt": "x", name: value}, object_info=FULL)
    assert caught.value.parameter == name


@pytest.mark.parametrize(
    ("name", "given_value", "bound_value"),
    [
        ("steps", "30", 30),
        ("steps", 30.0, 30),
        ("steps", None, 25),
        ("steps", " ", 25),
        ("cfg", "6.5", 6.5),
        ("cfg", 7, 7.0),
        ("seed", str(2**64 - 1), 2**64 - 1),
        ("scheduler", "KARRAS", "karras"),
        ("sampler", "", "dpmpp_2m"),
        ("checkpoint", "dreamshaper_8", "SD15/dreamshaper_8.safetensors"),
        ("checkpoint", None, "SD15/dreamshaper_8.safetensors"),
        ("negative", "", ""),
        ("prompt", "", ""),
    ],
)
def test_what_is_meant_is_understood(name: str, given_value: Any, bound_value: Any) -> None:
    bound = bind(TXT2IMG, {"prompt": "x", name: given_value}, object_info=FULL)
    assert bound.values[name] == bound_value
    assert type(bound.values[name]) is type(bound_value)
    assert bound.warnings == ()


def test_a_size_between_two_steps_goes_down_with_a_warning() -> None:
    bound = bind(TXT2IMG, {"prompt": "x", "width": 1003, "height": 1000}, object_info=FULL)
    assert (bound.values["width"], bound.values["height"]) == (1000, 1000)
    assert bound.graph["5"]["inputs"]["width"] == 1000
    assert bound.warnings == ("width was rounded from 1003 to 1000: it goes in steps of 8.",)


@pytest.mark.parametrize("value", [None, -1, "-1", " -1 ", -1.0, ""])
def test_a_seed_is_drawn_when_none_is_given(value: Any) -> None:
    bound = bind(TXT2IMG, {"prompt": "x", "seed": value}, object_info=FULL, draw_seed=lambda: 77)
    assert bound.values["seed"] == bound.graph["3"]["inputs"]["seed"] == 77
    drawn = {bind(TXT2IMG, {"prompt": "x", "seed": value}).values["seed"] for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**32 for seed in drawn)


@pytest.mark.parametrize(("limits", "drawn"), [("max = 9", 7), ("min = 100", 177), ("min = 5\nmax = 5", 5)])
def test_a_drawn_seed_keeps_to_the_range_of_its_node(tmp_path: Path, limits: str, drawn: int) -> None:
    template = template_of(tmp_path, f'[parameters.seed]\ntype = "seed"\nbind = "Painter#1.size"\n{limits}\n')
    assert bind(template, {"prompt": "x"}, draw_seed=lambda: 77).values["seed"] == drawn


def test_a_fixed_seed_of_the_manifest_stays_until_one_is_drawn(tmp_path: Path) -> None:
    template = template_of(tmp_path, '[parameters.seed]\ntype = "seed"\nbind = "Painter#1.size"\ndefault = 4\n')
    assert bind(template, {"prompt": "x"}).values["seed"] == 4
    assert bind(template, {"prompt": "x", "seed": ""}).values["seed"] == 4
    assert bind(template, {"prompt": "x", "seed": -1}, draw_seed=lambda: 77).values["seed"] == 77


STYLE = Style(title="S", prompt="oil of {prompt}, thick", negative="photo", overrides={"cfg": 9, "steps": 999, "x": 1})


def test_an_argument_wins_over_the_style_and_the_style_over_the_default() -> None:
    plain = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    styled = bind(TXT2IMG, {"prompt": "x"}, style=STYLE, object_info=FULL)
    asked = bind(TXT2IMG, {"prompt": "x", "cfg": "3"}, style=STYLE, object_info=FULL)
    assert [bound.values["cfg"] for bound in (plain, styled, asked)] == [6.0, 9.0, 3.0]


def test_what_a_style_cannot_set_here_is_left_out_with_a_warning() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, style=STYLE, object_info=FULL)
    assert bound.values["steps"] == 25
    assert [warning for warning in bound.warnings if "steps (999)" in warning] == list(bound.warnings)


def test_a_style_is_in_the_graph_and_the_values_stay_the_persons_own() -> None:
    bound = bind(TXT2IMG, {"prompt": "a fox.", "negative": "dogs,"}, style=STYLE, object_info=FULL)
    assert bound.graph["6"]["inputs"]["text"] == "oil of a fox, thick"
    assert bound.graph["7"]["inputs"]["text"] == "dogs, photo"
    assert (bound.values["prompt"], bound.values["negative"]) == ("a fox.", "dogs,")
    again = bind(TXT2IMG, bound.values, style=STYLE, object_info=FULL)
    assert (again.graph, again.values) == (bound.graph, bound.values)


def test_a_style_needs_a_prompt() -> None:
    with pytest.raises(InvalidParameter) as caught:
        bind(SHIPPED.get("upscale"), {"image": "x"}, style=STYLE, object_info=FULL)
    assert caught.value.parameter == "style"
    bound = bind(SHIPPED.get("txt2img_dit"), {"prompt": "x"}, style=STYLE, object_info=FULL)
    assert "negative" not in bound.values and "cfg" not in bound.values


def test_pictures_become_uploads_in_every_place() -> None:
    bound = bind(SHIPPED.get("inpaint"), {"prompt": "x", "image": "one", "mask": "two"}, object_info=FULL)
    assert bound.uploads == (Upload("one", (("10", "image"),)), Upload("two", (("11", "image"),)))
    with pytest.raises(InvalidParameter, match="mask is missing"):
        bind(SHIPPED.get("inpaint"), {"prompt": "x", "image": "one"}, object_info=FULL)


def test_one_value_goes_to_every_place_and_each_place_knows_its_parameter() -> None:
    bound = bind(SHIPPED.get("txt2img_lora"), {"prompt": "x", "lora_strength": 0.3}, object_info=FULL)
    inputs = bound.graph["10"]["inputs"]
    assert inputs["strength_model"] == inputs["strength_clip"] == 0.3
    assert bound.parameters["10.strength_clip"] == bound.parameters["10.strength_model"] == "lora_strength"
    assert bound.parameters["3.steps"] == "steps"


def test_a_template_says_how_its_pictures_are_kept(tmp_path: Path) -> None:
    bound = bind(load_template(write_folder(tmp_path / "small")), {"prompt": "x"})
    assert (bound.capture, bound.keep_in_comfyui) == ("preview", False)
    told = f'capture = "websocket"\nkeep_in_comfyui = true\n{MANIFEST}'
    bound = bind(load_template(write_folder(tmp_path / "other", told)), {"prompt": "x"})
    assert (bound.capture, bound.keep_in_comfyui) == ("websocket", True)


def test_without_a_comfyui_models_stay_as_in_the_graph() -> None:
    bound = bind(SHIPPED.get("txt2img_dit"), {"prompt": "x"})
    assert bound.values["text_encoder_2"] == "t5xxl_fp16.safetensors"
    assert bind(TXT2IMG, {"prompt": "x", "checkpoint": "any/where.ckpt"}).values["checkpoint"] == "any/where.ckpt"


def test_a_live_choice_may_look_like_anything_as_long_as_it_is_offered(tmp_path: Path) -> None:
    told = (
        '[parameters.how]\ntype = "enum"\nbind = "Loader#2.file"\nchoices_from = "Loader.file"\ndefault = "/api: x"\n'
    )
    template = template_of(tmp_path, told)
    assert bind(template, {"prompt": "x"}).graph["2"]["inputs"]["file"] == "/api: x"
    offers = ObjectInfo({"Loader": {"input": {"required": {"file": [["/api: x", "b"], {}]}}, "output": []}})
    assert bind(template, {"prompt": "x", "how": "/API: x"}, object_info=offers).values["how"] == "/api: x"
    with pytest.raises(InvalidParameter):
        bind(template, {"prompt": "x", "how": "/etc/passwd"})
    gone = ObjectInfo({"Loader": {"input": {"required": {"file": [["b"], {}]}}, "output": []}})
    with pytest.raises(InvalidParameter, match="how '/api: x' is unknown"):
        bind(template, {"prompt": "x"}, object_info=gone)


def test_the_files_that_flux_needs_are_found_by_their_names() -> None:
    values = bind(SHIPPED.get("txt2img_dit"), {"prompt": "x"}, object_info=FULL).values
    assert [values[name] for name in ("diffusion_model", "text_encoder", "text_encoder_2", "vae")] == [
        "flux1-dev-fp8.safetensors",
        "clip_l.safetensors",
        "t5xxl_fp8_e4m3fn.safetensors",
        "ae.safetensors",
    ]


def test_without_a_model_it_says_where_to_put_one() -> None:
    with pytest.raises(MissingModel, match="models folder") as caught:
        bind(TXT2IMG, {"prompt": "x"}, object_info=offering(ckpt_name=[]))
    assert caught.value.details["parameter"] == "checkpoint"


def test_inputs_that_a_node_gained_get_their_default_as_on_the_canvas(tmp_path: Path) -> None:
    """A workflow that was exported from an older ComfyUI goes on working in a newer one."""
    inputs: dict[str, Any] = {
        "text": ["STRING", {}],
        "size": ["INT", {}],
        "source": ["MODEL", {}],
        "extra": ["MODEL", {}],
        "rounds": ["INT", {"default": 3}],
        "mode": [["slow", "fast"], {}],
        "how": ["COMBO", {"options": ["a", "b"], "default": "b"}],
        "none": [[], {}],
        "bare": ["STRING", {}],
        "plugged": ["INT", {"default": 1, "forceInput": True}],
    }
    raw: dict[str, Any] = {
        "Painter": {"input": {"required": inputs, "optional": {"more": ["INT", {"default": 9}]}}, "output": []}
    }
    bound = bind(template_of(tmp_path, ""), {"prompt": "x"}, object_info=ObjectInfo(raw))
    gained = {name: value for name, value in bound.graph["1"]["inputs"].items() if name not in small()["1"]["inputs"]}
    assert gained == {"rounds": 3, "mode": "slow", "how": "b"}
    assert bound.graph["2"] == small()["2"]
