"""Binding: what goes into the graph, what never can, and how a refusal reads."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_mcp.errors import InvalidParameter, MissingModel, MissingNode, TooLarge, WorkbenchError, WorkflowRejected
from comfy_mcp.jobs import BoundWorkflow, Graph, Upload
from comfy_mcp.workflows import ObjectInfo, bind, check, json_schema
from comfy_mcp.workflows.template import Template
from tests.workflows.test_templates import FULL, NAMES, SHIPPED, offering

TXT2IMG = SHIPPED.get("txt2img")
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.lists(st.one_of(st.text(max_size=2), st.integers()), min_size=2, max_size=2),
    st.sampled_from(["4", "euler", "karras", "a.safetensors", "../../etc/passwd", "x\x00", "\ud800", "nan", "1e999"]),
)


def shape(graph: Graph) -> dict[str, Any]:
    """Everything of a graph that a value must never change: classes, inputs and links."""
    return {
        node: (
            content["class_type"],
            {name: value if isinstance(value, list) else None for name, value in content["inputs"].items()},
        )
        for node, content in graph.items()
    }


@given(st.sampled_from(NAMES), st.data())
def test_no_value_changes_a_class_or_a_link(name: str, data: st.DataObject) -> None:
    template = SHIPPED.get(name)
    values = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(template.parameters, ANY)))
    style = data.draw(st.sampled_from([None, *SHIPPED.styles.values()])) if template.takes_style else None
    try:
        bound = bind(template, values, style=style, object_info=FULL)
    except WorkbenchError as failure:
        assert failure.details.get("parameter") in template.parameters
        assert failure.hint
        return
    assert shape(bound.graph) == shape(template.graph)
    check(bound, FULL)


BAD: list[tuple[str, Any]] = [
    ("steps", 0),
    ("steps", 151),
    ("steps", 2.5),
    ("steps", "many"),
    ("steps", True),
    ("steps", [3]),
    ("steps", math.nan),
    ("cfg", -0.1),
    ("cfg", 31),
    ("cfg", math.inf),
    ("cfg", "nan"),
    ("cfg", "1e400"),
    ("cfg", False),
    ("cfg", {}),
    ("width", 32),
    ("width", 100_000),
    ("denoise", 1.01),
    ("batch", 17),
    ("seed", -2),
    ("seed", 2**64),
    ("seed", 1.5),
    ("seed", "0x10"),
    ("scheduler", "karas"),
    ("scheduler", 5),
    ("scheduler", ["4", 0]),
    ("checkpoint", "b.safetensors"),
    ("checkpoint", "../a.safetensors"),
    ("prompt", 5),
    ("prompt", None),
    ("prompt", "\ud800"),
    ("prompt", "a\x00b"),
    ("negative", ["4", 1]),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=str)
def test_a_value_outside_of_type_or_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        bind(TXT2IMG, {"prompt": "x", name: value}, object_info=FULL)
    assert caught.value.parameter == name
    assert name in caught.value.message and caught.value.hint


def test_a_refusal_names_what_is_near() -> None:
    with pytest.raises(InvalidParameter, match="scheduler 'karas' is unknown; nearest: karras"):
        bind(TXT2IMG, {"prompt": "x", "scheduler": "karas"}, object_info=FULL)
    with pytest.raises(InvalidParameter, match="Nearest: steps"):
        bind(TXT2IMG, {"prompt": "x", "step": 3}, object_info=FULL)


def test_a_prompt_of_300_kilobytes_is_too_large() -> None:
    with pytest.raises(TooLarge):
        bind(TXT2IMG, {"prompt": "x" * 300_000}, object_info=FULL)


@pytest.mark.parametrize(
    ("name", "given_value", "bound_value"),
    [
        ("steps", "30", 30),
        ("steps", 30.0, 30),
        ("cfg", "6.5", 6.5),
        ("cfg", 7, 7.0),
        ("seed", str(2**64 - 1), 2**64 - 1),
        ("scheduler", "KARRAS", "karras"),
        ("checkpoint", "a", "a.safetensors"),
        ("checkpoint", "A.safetensors", "a.safetensors"),
        ("width", 1000, 1000),
        ("width", 1003, 1000),
        ("sampler", "", "dpmpp_2m"),
        ("negative", "", ""),
        ("steps", None, 25),
    ],
)
def test_what_is_meant_is_understood(name: str, given_value: Any, bound_value: Any) -> None:
    bound = bind(TXT2IMG, {"prompt": "x", name: given_value}, object_info=FULL)
    assert bound.values[name] == bound_value
    assert type(bound.values[name]) is type(bound_value)
    assert bool(bound.warnings) == (given_value == 1003)


def test_an_ambiguous_model_name_is_not_guessed() -> None:
    info = offering(ckpt_name=["a/x.safetensors", "b/x.ckpt"])
    with pytest.raises(InvalidParameter, match="checkpoint"):
        bind(TXT2IMG, {"prompt": "x", "checkpoint": "x"}, object_info=info)


@pytest.mark.parametrize("value", [None, -1, "-1", ""])
def test_a_seed_is_drawn_when_none_is_given(value: Any) -> None:
    assert bind(TXT2IMG, {"prompt": "x", "seed": value}, object_info=FULL, seed=lambda: 77).values["seed"] == 77
    assert 0 <= bind(TXT2IMG, {"prompt": "x", "seed": value}, object_info=FULL).values["seed"] < 2**32


def test_a_style_surrounds_the_prompt_and_gives_way_to_arguments() -> None:
    style = SHIPPED.style("pixel_art")
    bound = bind(TXT2IMG, {"prompt": "a fox", "negative": "dogs"}, style=style, object_info=FULL)
    assert bound.graph["6"]["inputs"]["text"].startswith("pixel art of a fox, ")
    assert bound.graph["7"]["inputs"]["text"].startswith("dogs, ")
    assert (bound.values["prompt"], bound.values["cfg"]) == ("a fox", 7.5)
    assert bind(TXT2IMG, {"prompt": "x", "cfg": 3}, style=style, object_info=FULL).values["cfg"] == 3.0
    with pytest.raises(InvalidParameter, match="style"):
        bind(SHIPPED.get("upscale"), {"image": "x"}, style=style, object_info=FULL)


def test_pictures_become_uploads_in_every_place() -> None:
    bound = bind(SHIPPED.get("inpaint"), {"prompt": "x", "image": "one", "mask": "two"}, object_info=FULL)
    assert bound.uploads == (Upload("one", (("10", "image"),)), Upload("two", (("11", "image"),)))
    assert bound.parameters["3.steps"] == "steps"


def test_without_a_model_it_says_where_to_put_one() -> None:
    with pytest.raises(MissingModel, match="models folder") as caught:
        bind(TXT2IMG, {"prompt": "x"}, object_info=offering(ckpt_name=[]))
    assert caught.value.details["parameter"] == "checkpoint"


def checked(change: dict[str, Any] | None = None, node: str = "3", info: ObjectInfo = FULL) -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    if change is not None:
        bound.graph[node]["inputs"] |= change
    check(bound, info)


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"model": ["4", 3]}, WorkflowRejected, "output 3"),
        ({"model": ["4", 1]}, WorkflowRejected, "takes MODEL, not CLIP"),
        ({"model": "x"}, WorkflowRejected, "another node"),
        ({"steps": 20_000}, InvalidParameter, "steps"),
        ({"sampler_name": "eulr"}, InvalidParameter, "sampler"),
    ],
)
def test_a_graph_that_comfyui_would_refuse_is_refused_here(
    change: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        checked(change)


def test_what_is_missing_is_named() -> None:
    raw = {name: {**FULL_RAW[name]} for name in FULL_RAW if name != "KSampler"}
    with pytest.raises(MissingNode, match="KSampler") as caught:
        checked(info=ObjectInfo(raw))
    assert "KSamplerAdvanced" in str(caught.value)
    with pytest.raises(MissingModel, match=r"a\.safetensors"):
        checked(info=offering(ckpt_name=["b.safetensors"]))


FULL_RAW = FULL._raw  # pyright: ignore[reportPrivateUsage]


def test_a_node_that_no_output_needs_is_not_looked_at() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph["99"] = {"class_type": "KSampler", "inputs": {}}
    check(bound, FULL)
    with pytest.raises(WorkflowRejected, match="no output"):
        check(BoundWorkflow({"99": bound.graph["99"]}, {}), FULL)


@pytest.mark.parametrize("value", ["../x.png", "/etc/passwd", "a\x00", "x.png [output]", "..\\x", 5])
def test_a_file_name_that_leaves_its_folder_is_refused(value: Any) -> None:
    bound = bind(SHIPPED.get("upscale"), {"image": "id"}, object_info=FULL)
    loose = BoundWorkflow(bound.graph, bound.values)
    loose.graph["1"]["inputs"]["image"] = value
    with pytest.raises(WorkflowRejected, match="plain file name"):
        check(loose, FULL)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_flat_small_and_described(name: str) -> None:
    template: Template = SHIPPED.get(name)
    schema = json_schema(template, styles=SHIPPED.styles, object_info=FULL)
    assert schema["required"] == list(template.required)
    for told in schema["properties"].values():
        assert told["type"] in ("string", "integer", "number", "boolean")
        assert told["description"]
        assert len(told.get("enum", [])) <= 8
    full = json_schema(template, styles=SHIPPED.styles, object_info=FULL, max_choices=100)
    if "scheduler" in full["properties"]:
        assert "karras" in full["properties"]["scheduler"]["enum"]
