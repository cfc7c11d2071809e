"""What chats and forms are told of a template: flat, small, and true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from comfy_mcp.workflows import bind, describe, json_schema
from tests.workflows.samples import FILES, NAMES, SHIPPED, offering, template_of

FULL = offering()


@pytest.mark.parametrize("info", [None, FULL], ids=["alone", "with ComfyUI"])
@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_flat_and_described(name: str, info: object) -> None:
    template = SHIPPED.get(name)
    schema = json_schema(template, styles=SHIPPED.styles, object_info=FULL if info else None)
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == list(template.required)
    assert set(schema["properties"]) == {*template.parameters, *(["style"] if template.takes_style else [])}
    for told in schema["properties"].values():
        assert told["type"] in ("string", "integer", "number", "boolean")
        assert told["description"]
        assert len(told.get("enum", [])) <= 8
        assert all(isinstance(choice, str) for choice in told.get("enum", []))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_bound_by_default_is_valid_by_the_schema(name: str) -> None:
    template = SHIPPED.get(name)
    schema = json_schema(template, styles=SHIPPED.styles, object_info=FULL, full=True)
    bound = bind(template, dict.fromkeys(template.required, "x"), object_info=FULL)
    Draft202012Validator(schema).validate(bound.values)  # pyright: ignore[reportUnknownMemberType]
    defaults = {key: told["default"] for key, told in schema["properties"].items() if "default" in told}
    assert {key: bound.values[key] for key in defaults} == defaults


def test_four_tools_leave_room_in_a_list_of_8_kilobytes() -> None:
    sizes = [
        len(json.dumps(json_schema(SHIPPED.get(name), styles=SHIPPED.styles, object_info=FULL)).encode())
        for name in ("txt2img", "img2img", "inpaint", "upscale")
    ]
    assert sum(sizes) <= 5_800


def test_long_choices_are_counted_and_named_on_request() -> None:
    template = SHIPPED.get("txt2img")
    short = json_schema(template, styles=SHIPPED.styles, object_info=FULL)["properties"]
    assert short["sampler"]["description"] == "Sampling method, 42 in list_models"
    assert short["style"]["description"] == "Style preset, 28 in list_styles"
    full = json_schema(template, styles=SHIPPED.styles, object_info=FULL, full=True)["properties"]
    assert {"karras", "simple"} <= set(full["scheduler"]["enum"])
    assert full["style"]["enum"] == list(SHIPPED.styles)
    few = json_schema(template, styles=SHIPPED.styles, object_info=FULL, max_choices=2)["properties"]
    assert "enum" not in few["checkpoint"]


def test_long_names_of_files_do_not_fill_the_list() -> None:
    files = [f"a folder/{'long name ' * 5}{n}.safetensors" for n in range(8)]
    info = offering(ckpt_name=files)
    told = json_schema(SHIPPED.get("txt2img"), styles={}, object_info=info)["properties"]["checkpoint"]
    assert "enum" not in told and len(told["description"]) < 160
    full = json_schema(SHIPPED.get("txt2img"), styles={}, object_info=info, full=True)["properties"]["checkpoint"]
    assert full["enum"] == files


def test_a_picture_says_how_to_give_one_and_a_seed_may_be_minus_one(tmp_path: Path) -> None:
    assert "base64" in json_schema(SHIPPED.get("upscale"), styles={})["properties"]["image"]["description"]
    template = template_of(tmp_path, '[parameters.seed]\ntype = "seed"\nbind = "Painter#1.size"\nmin = 0\nmax = 99\n')
    seed = json_schema(template, styles={})["properties"]["seed"]
    assert seed == {"type": "integer", "description": "seed", "minimum": -1, "maximum": 99}


def test_a_description_lists_everything_there_is() -> None:
    told = describe(SHIPPED.get("txt2img_dit"), object_info=FULL)
    parameters = {each["name"]: each for each in told["parameters"]}
    assert json.loads(json.dumps(told)) == told
    assert list(parameters) == list(SHIPPED.get("txt2img_dit").parameters)
    assert parameters["diffusion_model"]["choices"] == FILES["unet_name"]
    assert parameters["diffusion_model"]["default"] == "flux1-dev-fp8.safetensors"
    assert parameters["prompt"]["required"] and not parameters["seed"]["required"]
    assert parameters["seed"]["default"] is None
    assert {"karras"} <= set(parameters["scheduler"]["choices"])
    assert parameters["width"]["step"] == 16
    assert all(each["label"] and each["help"] and each["group"] != "sampling" for each in parameters.values())


def test_without_comfyui_nothing_is_invented() -> None:
    parameters = {each["name"]: each for each in describe(SHIPPED.get("txt2img_dit"), object_info=None)["parameters"]}
    assert parameters["diffusion_model"]["choices"] is None
    assert parameters["diffusion_model"]["default"] is None
    assert parameters["scheduler"]["default"] == "simple"
    empty = describe(SHIPPED.get("txt2img"), object_info=offering(ckpt_name=[]))["parameters"]
    assert [(each["default"], each["choices"]) for each in empty if each["name"] == "checkpoint"] == [(None, [])]
